"""Random edge sets of the extended space: all four kinds of edge."""

from __future__ import annotations

import numpy as np

from autoplace.placement._edge import Edge


def random_edges(n_nodes: int, n_edges: int, rng: np.random.Generator) -> tuple[Edge, ...]:
    """Distinct edges drawn uniformly from all n², sorted."""
    picked = rng.choice(n_nodes * n_nodes, size=n_edges, replace=False)
    return tuple(sorted(Edge(int(flat) // n_nodes, int(flat) % n_nodes) for flat in picked))
