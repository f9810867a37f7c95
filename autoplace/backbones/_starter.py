"""The starter: a small ViT that the project trained itself and ships in the package."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from typing import Any

import safetensors.torch
from timm.models import VisionTransformer
from torch import nn

from autoplace.backbones._checkpoint import fit_state
from autoplace.backbones._error import BackboneError

STARTER = "starter"
_FOLDER = resources.files("autoplace.backbones") / STARTER


def build_starter() -> tuple[nn.Module, dict[str, Any]]:
    """The architecture with random weights, and timm's data config, as the shipped config says."""
    config = _read_config()
    data_config = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config["data_config"].items()
    }
    return VisionTransformer(**config["architecture"]), data_config


def load_starter(model: nn.Module) -> None:
    """Load the shipped weights; BackboneError if the file is not the one the config names."""
    weights = _read("starter.safetensors")
    # Of the file, so that damage shows; the chain's own hash is of the tensors.
    if hashlib.sha256(weights).hexdigest() != _read_config()["sha256"]:
        raise BackboneError(
            "the starter's weights do not match the checksum in their config; reinstall autoplace"
        )
    fit_state(model, safetensors.torch.load(weights), name=STARTER, origin="its shipped file")


def _read_config() -> dict[str, Any]:
    config: dict[str, Any] = json.loads(_read("config.json"))
    return config


def _read(file: str) -> bytes:
    try:
        return (_FOLDER / file).read_bytes()
    except OSError as error:
        raise BackboneError(
            f"the starter's {file} is missing from this installation; reinstall autoplace"
        ) from error
