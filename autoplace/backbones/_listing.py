"""The list of backbones: packaged ones, and timm transformers that are residual chains."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import timm
from timm.models import is_model_in_modules

from autoplace.backbones._data_config import resolve_data_config
from autoplace.backbones._error import BackboneError
from autoplace.backbones._registry import PackagedBackbone, list_packaged
from autoplace.backbones._sublayers import split_blocks
from autoplace.backbones._timm import build_on_meta

# A few of each family; the tests compare a small model of each with timm's own output.
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
# timm's modules that use supported blocks; building the thousand other models takes minutes.
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
    """What `list_backbones` says about a backbone.

    Attributes
    ----------
    name : str
        Name to pass to `create_chain`.
    n_nodes : int
        Nodes of its residual stream.
    dim : int
        Width of its residual stream.
    input_size : tuple of int
        Channels, height and width of its images, in pixels.
    source : str
        Where its weights come from.

    Examples
    --------
    >>> from autoplace.backbones import list_backbones
    >>> (starter,) = list_backbones("starter")
    >>> starter.n_nodes, starter.n_edges, starter.input_size, starter.source
    (25, 625, (3, 32, 32), 'shipped')
    """

    name: str
    n_nodes: int
    dim: int
    input_size: tuple[int, int, int]
    source: str

    @property
    def n_edges(self) -> int:
        """Number of edges, n²."""
        return self.n_nodes**2


def list_backbones(pattern: str | None = None) -> list[BackboneInfo]:
    """List supported backbones; nothing is downloaded.

    Parameters
    ----------
    pattern : str or None, default=None
        Shell pattern that names must match, such as `vit_small*`. None lists the packaged
        backbones and those timm models whose chains are under test.

    Returns
    -------
    list of BackboneInfo
        Packaged backbones, then timm models by name. Empty if nothing matches.

    Examples
    --------
    >>> [info.name for info in list_backbones("f*-vit?")]
    ['formula-vit6', 'fashion-vit8']
    """
    packaged = list_packaged()
    if pattern is None:
        names: list[str] = sorted(VERIFIED)
    else:
        packaged = [backbone for backbone in packaged if fnmatch(backbone.name, pattern)]
        names = [n for n in timm.list_models(pattern) if is_model_in_modules(n, _TRANSFORMERS)]
    described = (_describe_timm(name) for name in names)
    return [
        *(_describe_packaged(backbone) for backbone in packaged),
        *(info for info in described if info is not None),
    ]


def _describe_packaged(backbone: PackagedBackbone) -> BackboneInfo:
    source = "shipped" if backbone.extra is None else f"extra '{backbone.extra}'"
    if not backbone.is_installed:
        source += " (not installed)"
    return _describe(backbone.name, *backbone.build(), source=source)


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
