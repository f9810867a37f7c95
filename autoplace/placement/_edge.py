"""Edges: the places where an adapter can be attached to the residual stream."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from autoplace.placement._errors import PlacementError

_TEXT = re.compile(r"\s*(\d+)\s*>\s*(\d+)\s*")


class EdgeKind(StrEnum):
    """The four ways an edge can lie along the stream (Nowak et al. 2024, section 4)."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    LONG_RANGE = "long-range"
    RECURRENT = "recurrent"


@dataclass(frozen=True, order=True)
class Edge:
    """A connection of the residual stream: an adapter reads node `source`, adds to node `target`.

    Nodes are numbered 0..n-1 along the stream (0 = embeddings). Nowak et al. 2024, section 4.
    """

    source: int
    target: int

    def __post_init__(self) -> None:
        if self.source < 0 or self.target < 0:
            raise PlacementError(f"edge {self} has a negative node; nodes are numbered from 0")

    @property
    def kind(self) -> EdgeKind:
        """Sequential (i = j), parallel (i = j-1), long-range (i < j-1) or recurrent (i > j)."""
        if self.source > self.target:
            return EdgeKind.RECURRENT
        if self.source == self.target:
            return EdgeKind.SEQUENTIAL
        if self.source == self.target - 1:
            return EdgeKind.PARALLEL
        return EdgeKind.LONG_RANGE

    def distance(self, other: Edge) -> int:
        """Manhattan distance in the (source, target) plane, as GGA's discount uses it."""
        return abs(self.source - other.source) + abs(self.target - other.target)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `"7>3"`. Raises PlacementError naming the text and what was expected."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise PlacementError(f"'{text}' is no edge; expected SOURCE>TARGET, for example 7>3")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.source}>{self.target}"
