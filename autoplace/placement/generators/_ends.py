"""First-k and last-k: parallel edges at one end of the network."""

from __future__ import annotations

from autoplace.placement._edge import Edge


def first_k(n_nodes: int, k: int) -> tuple[Edge, ...]:
    """Put parallel edges around the first k sub-layers.

    Parameters
    ----------
    n_nodes : int
        Nodes of the backbone.
    k : int
        Number of edges; a backbone with fewer sub-layers gets one around each.

    Returns
    -------
    tuple of Edge
        The edges, from the first sub-layer on.

    Examples
    --------
    >>> [str(edge) for edge in first_k(n_nodes=25, k=3)]
    ['0>1', '1>2', '2>3']
    """
    return tuple(Edge(j - 1, j) for j in range(1, min(k, n_nodes - 1) + 1))


def last_k(n_nodes: int, k: int) -> tuple[Edge, ...]:
    """Put parallel edges around the last k sub-layers.

    Parameters
    ----------
    n_nodes : int
        Nodes of the backbone.
    k : int
        Number of edges; a backbone with fewer sub-layers gets one around each.

    Returns
    -------
    tuple of Edge
        The edges, up to the last sub-layer.

    Examples
    --------
    >>> [str(edge) for edge in last_k(n_nodes=25, k=3)]
    ['21>22', '22>23', '23>24']
    """
    return tuple(Edge(j - 1, j) for j in range(max(n_nodes - k, 1), n_nodes))
