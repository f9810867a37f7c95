"""Frozen vision backbones as residual chains: `embed`, the sub-layers' steps, `readout`."""

from autoplace.backbones._chain import ResidualChain
from autoplace.backbones._create import create_chain
from autoplace.backbones._error import BackboneError

__all__ = ["BackboneError", "ResidualChain", "create_chain"]
