"""Small ViTs that the project trained and ships in the package; the starter is the default."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from typing import Any

from safetensors.torch import load as load_safetensors
from timm.models import VisionTransformer
from torch import nn

from autoplace.backbones._checkpoint import fit_state
from autoplace.backbones._error import BackboneError

STARTER = "starter"
SHIPPED = (STARTER, "formula-vit6", "fashion-vit8")
_FOLDER = resources.files("autoplace.backbones") / "shipped"


def build_shipped(name: str) -> tuple[nn.Module, dict[str, Any]]:
    """The architecture with random weights, and timm's data config, as the shipped config says."""
    config = _read_config(name)
    data_config = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config["data_config"].items()
    }
    return VisionTransformer(**config["architecture"]), data_config


def load_shipped(name: str, model: nn.Module) -> None:
    """Load the shipped weights; BackboneError if the file is not the one the config names."""
    weights = _read(name, "weights.safetensors")
    # Of the file, so that damage shows; the chain's own hash is of the tensors.
    if hashlib.sha256(weights).hexdigest() != _read_config(name)["sha256"]:
        raise BackboneError(
            f"the weights of {name} do not match the checksum in their config; reinstall autoplace"
        )
    fit_state(model, load_safetensors(weights), name=name, origin="its shipped file")


def _read_config(name: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(_read(name, "config.json"))
    return config


def _read(name: str, file: str) -> bytes:
    try:
        return (_FOLDER / name / file).read_bytes()
    except OSError as error:
        raise BackboneError(
            f"{file} of {name} is missing from this installation; reinstall autoplace"
        ) from error
