"""Which part of the network each pass must run, given what is frozen (design: cached suffix)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from autoplace.placement import Edge, EdgeKind, Placement


@dataclass(frozen=True)
class Pass:
    """One run over the nodes `start`..`end`; node `start` begins from its frozen raw value.

    `edges` are those that inject in this pass. Values of nodes below `start` are the frozen ones.
    `read` are the nodes whose values some edge reads, in this pass or the next.
    """

    start: int
    end: int
    edges: tuple[Edge, ...]
    read: frozenset[int]

    def injections(self, node: int) -> tuple[Edge, ...]:
        """The edges that add to `node` in this pass."""
        return tuple(edge for edge in self.edges if edge.target == node)


@dataclass(frozen=True)
class Schedule:
    """The passes of a placement, in order; only the last one bears the output.

    `full` runs every pass from the embeddings: what a placement means. `suffix` runs only what a
    trainable weight can touch and gives the same outputs. In any pass nothing before the lowest
    injected node depends on a trainable weight, so a pass starts there; a pass before the last
    stops at the highest node that a recurrent edge reads, and where it would end before it
    starts, every value it yields is frozen and it is left out.
    """

    passes: tuple[Pass, ...]

    @classmethod
    def full(cls, placement: Placement, n_nodes: int) -> Self:
        """Every pass over every node."""
        edges = _edges_by_pass(placement)
        read = frozenset(edge.source for edge in placement.edges)
        return cls(tuple(Pass(0, n_nodes - 1, active, read) for active in edges))

    @classmethod
    def suffix(cls, placement: Placement, n_nodes: int) -> Self:
        """Every pass over just the nodes that are read and are not constant."""
        last = n_nodes - 1
        highest_read = max((e.source for e in placement.edges if _recurrent(e)), default=last)
        read = frozenset(edge.source for edge in placement.edges)
        by_pass = _edges_by_pass(placement)
        passes = []
        for number, active in enumerate(by_pass, start=1):
            start = min((edge.target for edge in active), default=last)
            end = last if number == len(by_pass) else highest_read
            if start <= end and (active or number == len(by_pass)):
                reached = tuple(edge for edge in active if edge.target <= end)
                passes.append(Pass(start, end, reached, read))
        return cls(tuple(passes))

    @property
    def frozen_nodes(self) -> tuple[int, ...]:
        """Nodes whose frozen value must be at hand before the first pass, sorted."""
        needed: set[int] = set()
        computed_from: int | None = None  # the pass before: nodes from here on were computed
        for current in self.passes:
            needed.add(current.start)
            for edge in current.edges:
                if _recurrent(edge):
                    if computed_from is None or edge.source < computed_from:
                        needed.add(edge.source)
                elif edge.source < current.start:
                    needed.add(edge.source)
            computed_from = current.start
        return tuple(sorted(needed))


def _recurrent(edge: Edge) -> bool:
    return edge.kind is EdgeKind.RECURRENT


def _edges_by_pass(placement: Placement) -> list[tuple[Edge, ...]]:
    """Feed-forward edges act in every pass, recurrent ones from the second on."""
    forward = tuple(edge for edge in placement.edges if not _recurrent(edge))
    if not placement.is_recurrent:
        return [forward]
    return [forward] + [placement.edges] * (placement.unroll - 1)
