"""Proposal: an edge set with the name of its generator and, optionally, weights of its edges."""

from __future__ import annotations

from typing import NamedTuple

from autoplace.placement._edge import Edge


class Proposal(NamedTuple):
    """An edge set that a generator proposes.

    Attributes
    ----------
    name : str
        The generator with its options, such as `gga:n=6,gamma=0.6`.
    edges : tuple of Edge
        Distinct edges.
    weights : tuple of float or None, default=None
        For each edge, the share of the budget that it should get, up to a common factor. None
        gives all edges the same rank.

    Examples
    --------
    >>> from autoplace.placement import Edge
    >>> Proposal("user", (Edge(3, 5), Edge(3, 8))).weights is None
    True
    """

    name: str
    edges: tuple[Edge, ...]
    weights: tuple[float, ...] | None = None
