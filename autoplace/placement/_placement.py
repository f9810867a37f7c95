"""Placement: a set of edges, each with its adapter, and the one text form of it."""

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

_UNROLL = re.compile(r"\s*T\s*=\s*(\d+)\s*")


@dataclass(frozen=True)
class Placement:
    """Distinct edges, sorted, each with an adapter; `unroll` passes where an edge is recurrent.

    Its text form is canonical: `0>5+7>3@bottleneck:r=8`. What stands after `@` applies to all
    edges before it, back to the previous `@`; `;T=3` follows where recurrent edges run over more
    than two passes; `head-only` is the placement without edges. `Placement.parse(str(p)) == p`.

    Raises PlacementError for a duplicate edge or fewer than two passes.
    """

    items: tuple[tuple[Edge, AdapterSpec], ...] = ()
    unroll: int = DEFAULT_UNROLL

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.items, key=lambda item: item[0]))
        for (edge, _), (following, _) in pairwise(ordered):
            if edge == following:
                raise PlacementError(f"edge {edge} stands twice in the placement; give it once")
        if self.unroll < DEFAULT_UNROLL:
            raise PlacementError(f"T={self.unroll} is too few passes for recurrence; use T >= 2")
        object.__setattr__(self, "items", ordered)
        if not self.is_recurrent:
            # Without a recurrent edge one pass is all there is: one text for one function.
            object.__setattr__(self, "unroll", DEFAULT_UNROLL)

    @classmethod
    def of(
        cls, edges: Iterable[Edge], spec: AdapterSpec = DEFAULT_SPEC, unroll: int = DEFAULT_UNROLL
    ) -> Self:
        """The placement that has the same adapter on every edge."""
        return cls(tuple((edge, spec) for edge in edges), unroll)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form; edges without an `@` get bottlenecks of rank 8.

        Raises PlacementError naming the part that cannot be read and what was expected.
        """
        body, semicolon, tail = text.strip().partition(";")
        if not body.strip():
            raise PlacementError(f"'{text}' is no placement; an example: 0>5+7>3@bottleneck:r=8")
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
        """Whether any edge runs backwards, so that the network runs `unroll` times."""
        return any(edge.kind is EdgeKind.RECURRENT for edge in self.edges)

    @property
    def lowest_target(self) -> int | None:
        """The first node that depends on a trainable weight; None for head-only."""
        return min((edge.target for edge in self.edges), default=None)

    def check(self, n_nodes: int) -> None:
        """Raise PlacementError where a node does not exist in a backbone of `n_nodes` nodes."""
        for edge in self.edges:
            if max(edge.source, edge.target) >= n_nodes:
                raise PlacementError(
                    f"edge {edge} names a node this backbone does not have; "
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
        raise PlacementError(f"'{tail}' at the end of '{text}' is not understood; expected T=3")
    return int(match[1])
