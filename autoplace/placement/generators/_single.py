"""Every single edge of a backbone."""

from __future__ import annotations

from autoplace.placement._edge import Edge


def single_edges(n_nodes: int) -> list[tuple[Edge, ...]]:
    """List all n² edge sets of one edge.

    Parameters
    ----------
    n_nodes : int
        Nodes of the backbone, n.

    Returns
    -------
    list of tuple of Edge
        Edge sets of one edge each, sorted by source, then target.

    Examples
    --------
    >>> [str(edge) for (edge,) in single_edges(n_nodes=2)]
    ['0>0', '0>1', '1>0', '1>1']
    """
    return [(Edge(i, j),) for i in range(n_nodes) for j in range(n_nodes)]
