"""What users do without this tool: an adapter in every block."""

from __future__ import annotations

from typing import Literal, get_args

from autoplace.placement._edge import Edge
from autoplace.placement._errors import PlacementError

EveryBlockStyle = Literal["parallel", "sequential", "mlp"]


def every_block(n_nodes: int, style: EveryBlockStyle = "parallel") -> tuple[Edge, ...]:
    """Put edges of one kind in every block.

    Node 2b+1 follows the attention of block b, node 2b+2 its MLP.

    Parameters
    ----------
    n_nodes : int
        Nodes of the backbone.
    style : {"parallel", "sequential", "mlp"}, default="parallel"
        An edge around every sub-layer, an edge after every sub-layer, or an edge around every
        MLP only. These are the values of `EveryBlockStyle`.

    Returns
    -------
    tuple of Edge
        The edges, from the first block to the last.

    Raises
    ------
    PlacementError
        If the style is unknown.

    Examples
    --------
    >>> [str(edge) for edge in every_block(n_nodes=5)]
    ['0>1', '1>2', '2>3', '3>4']
    >>> [str(edge) for edge in every_block(n_nodes=5, style="mlp")]
    ['1>2', '3>4']
    >>> from typing import get_args
    >>> get_args(EveryBlockStyle)
    ('parallel', 'sequential', 'mlp')
    """
    targets = range(1, n_nodes)
    match style:
        case "parallel":
            return tuple(Edge(j - 1, j) for j in targets)
        case "sequential":
            return tuple(Edge(j, j) for j in targets)
        case "mlp":
            return tuple(Edge(j - 1, j) for j in targets if j % 2 == 0)
    known = ", ".join(get_args(EveryBlockStyle))
    raise PlacementError(f"unknown style '{style}'; choose one of: {known}")
