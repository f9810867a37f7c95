"""Frozen vision backbones as residual chains: `embed`, the sub-layers' steps, `readout`."""

from autoplace.backbones._chain import ResidualChain
from autoplace.backbones._create import create_chain
from autoplace.backbones._error import BackboneError
from autoplace.backbones._listing import BackboneInfo, list_backbones

__all__ = ["BackboneError", "BackboneInfo", "ResidualChain", "create_chain", "list_backbones"]
