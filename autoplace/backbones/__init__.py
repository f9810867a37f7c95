"""Frozen vision backbones as residual chains: `embed`, one `step` per sub-layer, `readout`."""

from autoplace.backbones import _saliency, _shipped  # noqa: F401 (importing registers them)
from autoplace.backbones._chain import ResidualChain
from autoplace.backbones._create import create_chain
from autoplace.backbones._error import BackboneError
from autoplace.backbones._listing import BackboneInfo, list_backbones
from autoplace.backbones._maps import LinearMap, SubLayerMaps, read_maps, replace_maps
from autoplace.backbones._open_chain import Changes, OpenChain
from autoplace.backbones._shape import BackboneShape, Site, SubLayer

__all__ = [
    "BackboneError",
    "BackboneInfo",
    "BackboneShape",
    "Changes",
    "LinearMap",
    "OpenChain",
    "ResidualChain",
    "Site",
    "SubLayer",
    "SubLayerMaps",
    "create_chain",
    "list_backbones",
    "read_maps",
    "replace_maps",
]
