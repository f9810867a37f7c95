"""What backbones there are: ours, and the timm transformers that are residual chains."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import timm
from timm.models import is_model_in_modules

from autoplace.backbones._data_config import resolve_data_config
from autoplace.backbones._error import BackboneError
from autoplace.backbones._saliency import SALIENCY, build_saliency, is_saliency_installed
from autoplace.backbones._shipped import SHIPPED, build_shipped
from autoplace.backbones._sublayers import split_blocks
from autoplace.backbones._timm import build_on_meta

# One or two of each family; the test suite compares a small model of each with timm's own output.
VERIFIED = (
    "vit_tiny_patch16_224",
    "vit_base_patch16_224",
    "vit_base_patch16_clip_224",
    "vit_base_patch16_rpn_224",
    "vit_base_patch16_siglip_224",
    "vit_medium_patch16_gap_256",
    "vit_little_patch16_reg4_gap_256",
    "vit_relpos_small_patch16_224",
    "vit_relpos_small_patch16_rpn_224",
    "vit_srelpos_small_patch16_224",
    "vit_small_patch14_dinov2",
    "vit_small_patch14_reg4_dinov2",
    "vit_giant_patch14_dinov2",
    "vit_small_patch16_dinov3",
    "vit_small_patch16_rope_224",
    "vit_small_patch16_rope_mixed_224",
    "vit_pe_core_tiny_patch16_384",
    "vit_dwee_patch16_reg1_gap_256",
    "flexivit_small",
    "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "deit3_small_patch16_224",
    "beit_base_patch16_224",
    "beitv2_base_patch16_224",
    "beit3_base_patch16_224",
    "eva02_tiny_patch14_224",
    "eva02_base_patch16_clip_224",
    "eva02_enormous_patch14_clip_224",
    "aimv2_large_patch14_224",
)
# timm's modules that use the blocks of our registry; building the thousand others takes minutes.
_TRANSFORMERS = {
    "beit",
    "deit",
    "eva",
    "naflexvit",
    "vision_transformer",
    "vision_transformer_hybrid",
    "vision_transformer_relpos",
    "vitamin",
}


@dataclass(frozen=True)
class BackboneInfo:
    """A backbone as the listing shows it.

    `input_size` is (channels, height, width) in pixels; `source` says where weights come from.
    """

    name: str
    n_nodes: int
    dim: int
    input_size: tuple[int, int, int]
    source: str

    @property
    def n_edges(self) -> int:
        """Number of places an adapter can take: n * n."""
        return self.n_nodes**2


def list_backbones(pattern: str | None = None) -> list[BackboneInfo]:
    """Supported backbones: ours first, then timm's by name.

    Without a pattern, timm's share is the verified list; with one (`"vit_small*"`), every
    matching timm model whose blocks make a residual chain. Nothing is downloaded: models are
    built without memory for their weights. No match gives an empty list.
    """
    saliency = "extra 'saliency'" + ("" if is_saliency_installed() else " (not installed)")
    ours = [
        *(_describe(name, *build_shipped(name), source="shipped") for name in SHIPPED),
        _describe(SALIENCY, *build_saliency(), source=saliency),
    ]
    if pattern is None:
        names: list[str] = sorted(VERIFIED)
    else:
        ours = [info for info in ours if fnmatch(info.name, pattern)]
        names = [n for n in timm.list_models(pattern) if is_model_in_modules(n, _TRANSFORMERS)]
    return ours + [info for name in names if (info := _describe_timm(name)) is not None]


def _describe_timm(name: str) -> BackboneInfo | None:
    model = build_on_meta(name)
    source = "timm hub" if timm.is_model_pretrained(name) else "timm, weights by --checkpoint only"
    try:
        return _describe(name, model, resolve_data_config(model), source=source)
    except BackboneError:
        return None


def _describe(name: str, model: Any, data_config: dict[str, Any], *, source: str) -> BackboneInfo:
    blocks = split_blocks(model, name)
    return BackboneInfo(
        name=name,
        n_nodes=2 * len(blocks) + 1,
        dim=model.embed_dim,
        input_size=tuple(data_config["input_size"]),
        source=source,
    )
