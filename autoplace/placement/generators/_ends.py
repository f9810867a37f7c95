"""First-k and last-k: parallel edges at one end of the network."""

from __future__ import annotations

from autoplace.placement._edge import Edge


def first_k(n_nodes: int, k: int) -> tuple[Edge, ...]:
    """Parallel edges around the first k sub-layers."""
    return tuple(Edge(j - 1, j) for j in range(1, min(k, n_nodes - 1) + 1))


def last_k(n_nodes: int, k: int) -> tuple[Edge, ...]:
    """Parallel edges around the last k sub-layers."""
    return tuple(Edge(j - 1, j) for j in range(max(n_nodes - k, 1), n_nodes))
