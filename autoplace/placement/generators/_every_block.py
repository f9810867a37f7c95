"""The placements that users get without this tool: an adapter in every block."""

from __future__ import annotations

from typing import Literal, get_args

from autoplace.placement._edge import Edge
from autoplace.placement._errors import PlacementError

EveryBlockStyle = Literal["parallel", "sequential", "mlp"]


def every_block(n_nodes: int, style: EveryBlockStyle = "parallel") -> tuple[Edge, ...]:
    """An edge around every sub-layer (parallel), after every one (sequential), or MLPs only.

    Node 2b+1 follows block b's attention, node 2b+2 its MLP.
    """
    targets = range(1, n_nodes)
    match style:
        case "parallel":
            return tuple(Edge(j - 1, j) for j in targets)
        case "sequential":
            return tuple(Edge(j, j) for j in targets)
        case "mlp":
            return tuple(Edge(j - 1, j) for j in targets if j % 2 == 0)
    raise PlacementError(f"unknown style '{style}'; choose from {get_args(EveryBlockStyle)}")
