"""Generators of edge sets. Adapters and their parameter budget are in `autoplace.adapters`."""

from autoplace.placement.generators._candidates import (
    candidate_edge_sets,
    set_sizes,
)
from autoplace.placement.generators._early_fans import early_fans
from autoplace.placement.generators._ends import first_k, last_k
from autoplace.placement.generators._every_block import EveryBlockStyle, every_block
from autoplace.placement.generators._gga import gga
from autoplace.placement.generators._near_every_block import NEAR_EVERY_BLOCK, near_every_block
from autoplace.placement.generators._proposal import Proposal
from autoplace.placement.generators._random import random_edges
from autoplace.placement.generators._single import single_edges
from autoplace.placement.generators._sublayers import ALL, sublayer_sets

__all__ = [
    "ALL",
    "NEAR_EVERY_BLOCK",
    "EveryBlockStyle",
    "Proposal",
    "candidate_edge_sets",
    "early_fans",
    "every_block",
    "first_k",
    "gga",
    "last_k",
    "near_every_block",
    "random_edges",
    "set_sizes",
    "single_edges",
    "sublayer_sets",
]
