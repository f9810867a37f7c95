"""Random edge sets, from edges of all four kinds."""

from __future__ import annotations

import numpy as np

from autoplace.placement._edge import Edge


def random_edges(n_nodes: int, n_edges: int, rng: np.random.Generator) -> tuple[Edge, ...]:
    """Draw distinct edges uniformly from all n².

    Parameters
    ----------
    n_nodes : int
        Nodes of the backbone, n.
    n_edges : int
        Number of edges to draw, at most n².
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    tuple of Edge
        The edges, sorted by source, then target.

    Examples
    --------
    >>> import numpy as np
    >>> edges = random_edges(n_nodes=25, n_edges=6, rng=np.random.default_rng(0))
    >>> len(set(edges)), edges == tuple(sorted(edges))
    (6, True)
    """
    picked = rng.choice(n_nodes * n_nodes, size=n_edges, replace=False)
    return tuple(sorted(Edge(int(flat) // n_nodes, int(flat) % n_nodes) for flat in picked))
