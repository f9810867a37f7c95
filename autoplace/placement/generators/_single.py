"""Every single edge of a backbone."""

from __future__ import annotations

from autoplace.placement._edge import Edge


def single_edges(n_nodes: int) -> list[tuple[Edge, ...]]:
    """All n² edge sets of one edge, by source, then target."""
    return [(Edge(i, j),) for i in range(n_nodes) for j in range(n_nodes)]
