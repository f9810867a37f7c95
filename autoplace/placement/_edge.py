"""Edges: the places where an adapter can be attached to the residual stream."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from autoplace.placement._errors import PlacementError

_TEXT = re.compile(r"\s*(\d{1,6})\s*>\s*(\d{1,6})\s*")


class EdgeKind(StrEnum):
    """The four kinds of edge (Nowak et al. 2024, section 4), by source i and target j.

    Examples
    --------
    >>> [kind.value for kind in EdgeKind]
    ['sequential', 'parallel', 'long-range', 'recurrent']
    >>> Edge(5, 5).kind is EdgeKind.SEQUENTIAL
    True
    """

    SEQUENTIAL = "sequential"  # i = j
    PARALLEL = "parallel"  # i = j - 1
    LONG_RANGE = "long-range"  # i < j - 1
    RECURRENT = "recurrent"  # i > j: the network runs more than once


@dataclass(frozen=True, order=True)
class Edge:
    """A place for an adapter, which reads node `source` and adds its output to node `target`.

    Nodes are numbered from 0 to n-1 along the residual stream; node 0 is the embeddings
    (Nowak et al. 2024, section 4). Edges sort by source, then target.

    Parameters
    ----------
    source : int
        Node that the adapter reads.
    target : int
        Node that the adapter's output is added to.

    Raises
    ------
    PlacementError
        If a node is negative.

    Examples
    --------
    >>> edge = Edge.parse("7>3")
    >>> edge
    Edge(source=7, target=3)
    >>> edge.kind.value
    'recurrent'
    >>> edge.distance(Edge(5, 3))
    2
    """

    source: int
    target: int

    def __post_init__(self) -> None:
        if self.source < 0 or self.target < 0:
            raise PlacementError(f"edge {self} has a negative node; nodes are numbered from 0")

    @property
    def kind(self) -> EdgeKind:
        """The kind, which follows from source and target."""
        if self.source > self.target:
            return EdgeKind.RECURRENT
        if self.source == self.target:
            return EdgeKind.SEQUENTIAL
        if self.source == self.target - 1:
            return EdgeKind.PARALLEL
        return EdgeKind.LONG_RANGE

    def distance(self, other: Edge) -> int:
        """Return the Manhattan distance in the (source, target) plane, as GGA uses it."""
        return abs(self.source - other.source) + abs(self.target - other.target)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an edge from text such as `7>3`.

        Raises
        ------
        PlacementError
            If the text cannot be read.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise PlacementError(
                f"'{text}' is not an edge; expected SOURCE>TARGET, for example 7>3"
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.source}>{self.target}"
