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
STARTER_ARCHITECTURE: dict[str, Any] = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 96,
    "depth": 12,
    "num_heads": 3,
    "num_classes": 0,
    "global_pool": "avg",
}
STARTER_DATA_CONFIG: dict[str, Any] = {
    "input_size": (3, 32, 32),
    "interpolation": "bicubic",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "crop_pct": 1.0,
    "crop_mode": "center",
}


def build_starter() -> nn.Module:
    """The starter's architecture, with random weights."""
    return VisionTransformer(**STARTER_ARCHITECTURE)


def load_starter(model: nn.Module) -> None:
    """Load the shipped weights; BackboneError if the file is not the one the config names."""
    folder = resources.files("autoplace.backbones") / "starter"
    try:
        weights = (folder / "starter.safetensors").read_bytes()
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise BackboneError(
            "the starter's weights are missing from this installation; reinstall autoplace"
        ) from error
    if hashlib.sha256(weights).hexdigest() != config["weights_sha256"]:
        raise BackboneError(
            "the starter's weights do not match the checksum in their config; reinstall autoplace"
        )
    fit_state(model, safetensors.torch.load(weights), name=STARTER, origin="its shipped file")
