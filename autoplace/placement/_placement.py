"""Placement: a set of edges, each with its adapter, and its text form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Self

from autoplace.placement._adapter_spec import AdapterSpec
from autoplace.placement._edge import Edge, EdgeKind
from autoplace.placement._errors import PlacementError
from predictors.vocabulary import HEAD_ONLY

DEFAULT_SPEC = AdapterSpec.of("bottleneck", r=8)
DEFAULT_UNROLL = 2

_UNROLL = re.compile(r"\s*T\s*=\s*(\d{1,6})\s*")
MOST_UNROLL = 100  # passes; a step takes as many times as long, and as much memory


@dataclass(frozen=True)
class Placement:
    """Distinct edges, sorted, each with an adapter.

    The text form is canonical, such as `0>5+7>3@bottleneck:r=8`: equal placements have equal
    text, and `Placement.parse(str(p)) == p`. The adapter after `@` applies to all edges before
    it, back to the previous `@`. `;T=3` at the end is the number of passes if it is not 2.
    `head-only` is the placement without edges.

    Parameters
    ----------
    items : tuple of (Edge, AdapterSpec), default=()
        Edges with their adapters, in any order.
    unroll : int, default=2
        Number of passes through the network if an edge is recurrent; ignored otherwise.

    Raises
    ------
    PlacementError
        If an edge is given twice, or `unroll` is less than 2 or more than 100.

    Examples
    --------
    >>> placement = Placement.parse("7>3+0>5@bottleneck:r=8")
    >>> str(placement)
    '0>5+7>3@bottleneck:r=8'
    >>> placement.is_recurrent, placement.lowest_target, len(placement)
    (True, 3, 2)
    >>> str(Placement())
    'head-only'
    """

    items: tuple[tuple[Edge, AdapterSpec], ...] = ()
    unroll: int = DEFAULT_UNROLL

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.items, key=lambda item: item[0]))
        for (edge, _), (following, _) in pairwise(ordered):
            if edge == following:
                raise PlacementError(f"edge {edge} is given twice in the placement; give it once")
        if self.unroll < DEFAULT_UNROLL:
            raise PlacementError(f"T={self.unroll} is too few passes; use T=2 or more")
        if self.unroll > MOST_UNROLL:
            raise PlacementError(f"T={self.unroll} is too many passes; use at most T={MOST_UNROLL}")
        object.__setattr__(self, "items", ordered)
        if not self.is_recurrent:
            # There is one pass, whatever `unroll` is, so equal functions get equal text.
            object.__setattr__(self, "unroll", DEFAULT_UNROLL)

    @classmethod
    def of(
        cls, edges: Iterable[Edge], spec: AdapterSpec = DEFAULT_SPEC, unroll: int = DEFAULT_UNROLL
    ) -> Self:
        """Put the same adapter on every edge."""
        return cls(tuple((edge, spec) for edge in edges), unroll)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a placement from its text form.

        Edges without an `@` after them get bottlenecks of rank 8.

        Raises
        ------
        PlacementError
            If a part of the text cannot be read.
        """
        body, semicolon, tail = text.strip().partition(";")
        if not body.strip():
            raise PlacementError(
                f"'{text}' is not a placement; expected text such as 0>5+7>3@bottleneck:r=8"
            )
        unroll = _parse_unroll(tail, text) if semicolon else DEFAULT_UNROLL
        if body.strip() == HEAD_ONLY:
            return cls((), unroll)
        items: list[tuple[Edge, AdapterSpec]] = []
        waiting: list[Edge] = []
        for part in body.split("+"):
            edge_text, at, spec_text = part.partition("@")
            waiting.append(Edge.parse(edge_text))
            if at:
                spec = AdapterSpec.parse(spec_text)
                items += [(edge, spec) for edge in waiting]
                waiting = []
        items += [(edge, DEFAULT_SPEC) for edge in waiting]
        return cls(tuple(items), unroll)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The edges, sorted by source, then target."""
        return tuple(edge for edge, _ in self.items)

    @property
    def is_recurrent(self) -> bool:
        """Whether any edge is recurrent, so that the network runs `unroll` times."""
        return any(edge.kind is EdgeKind.RECURRENT for edge in self.edges)

    @property
    def lowest_target(self) -> int | None:
        """The first node that an adapter adds to; None for head-only."""
        return min((edge.target for edge in self.edges), default=None)

    def check(self, n_nodes: int) -> None:
        """Check that a backbone of `n_nodes` nodes has all nodes of the edges.

        Raises
        ------
        PlacementError
            If a node does not exist.
        """
        for edge in self.edges:
            if max(edge.source, edge.target) >= n_nodes:
                raise PlacementError(
                    f"edge {edge} names a node that this backbone does not have; "
                    f"its nodes are 0..{n_nodes - 1}"
                )

    def __iter__(self) -> Iterator[tuple[Edge, AdapterSpec]]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __str__(self) -> str:
        if not self.items:
            return HEAD_ONLY
        runs = (
            "+".join(str(edge) for edge, _ in run) + f"@{spec}"
            for spec, run in groupby(self.items, key=lambda item: item[1])
        )
        return "+".join(runs) + ("" if self.unroll == DEFAULT_UNROLL else f";T={self.unroll}")


def _parse_unroll(tail: str, text: str) -> int:
    match = _UNROLL.fullmatch(tail)
    if match is None:
        raise PlacementError(
            f"'{tail}' at the end of '{text}' cannot be read; expected a number of passes, as T=3"
        )
    return int(match[1])
