"""Frozen vision backbones as residual chains: `embed`, one `step` per sub-layer, `readout`."""

from autoplace.backbones import _saliency, _shipped  # noqa: F401 (importing registers them)
from autoplace.backbones._chain import ResidualChain
from autoplace.backbones._create import create_chain
from autoplace.backbones._error import BackboneError
from autoplace.backbones._listing import BackboneInfo, list_backbones

__all__ = ["BackboneError", "BackboneInfo", "ResidualChain", "create_chain", "list_backbones"]
