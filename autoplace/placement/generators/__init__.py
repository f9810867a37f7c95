"""Generators of edge sets. Adapters and their parameter budget are in `autoplace.adapters`."""

from autoplace.placement.generators._candidates import (
    candidate_edge_sets,
    count_candidates,
    set_sizes,
)
from autoplace.placement.generators._ends import first_k, last_k
from autoplace.placement.generators._every_block import EveryBlockStyle, every_block
from autoplace.placement.generators._gga import gga
from autoplace.placement.generators._random import random_edges
from autoplace.placement.generators._single import single_edges

__all__ = [
    "EveryBlockStyle",
    "candidate_edge_sets",
    "count_candidates",
    "every_block",
    "first_k",
    "gga",
    "last_k",
    "random_edges",
    "set_sizes",
    "single_edges",
]
