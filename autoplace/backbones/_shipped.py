"""Small ViTs that this project trained and ships; `starter` is the default backbone."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from typing import Any

from safetensors.torch import load as load_safetensors
from timm.models import VisionTransformer
from torch import nn

from autoplace.backbones._error import BackboneError
from autoplace.backbones._fit import fit_state
from autoplace.backbones._registry import PackagedBackbone, register_backbone

STARTER = "starter"
_FOLDER = resources.files("autoplace.backbones") / "shipped"


@register_backbone(STARTER, "formula-vit6", "fashion-vit8")
class ShippedBackbone(PackagedBackbone):
    """A backbone whose config and weights are in the folder `shipped`."""

    def build(self) -> tuple[nn.Module, dict[str, Any]]:
        """Build what the shipped config describes."""
        config = self._read_config()
        data_config = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in config["data_config"].items()
        }
        return VisionTransformer(**config["architecture"]), data_config

    def load(self, model: nn.Module) -> None:
        """Load the shipped weights, after comparing their checksum with the config."""
        weights = self._read("weights.safetensors")
        # The checksum of the file detects damage; `weights_sha256` of the chain is of the tensors.
        if hashlib.sha256(weights).hexdigest() != self._read_config()["sha256"]:
            raise BackboneError(
                f"the weights of {self.name} do not match the checksum in their config; "
                "reinstall autoplace"
            )
        fit_state(model, load_safetensors(weights), name=self.name, origin="its shipped file")

    def _read_config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self._read("config.json"))
        return config

    def _read(self, file: str) -> bytes:
        try:
            return (_FOLDER / self.name / file).read_bytes()
        except OSError as error:
            raise BackboneError(
                f"{file} of {self.name} is missing from this installation; reinstall autoplace"
            ) from error
