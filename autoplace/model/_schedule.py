"""Schedule: which part of the network each pass must run, given what is frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

from autoplace.adapters import inserts_tokens, is_inside
from autoplace.placement import Edge, EdgeKind, Placement


@dataclass(frozen=True)
class Pass:
    """One run over the nodes from `start` to `end`.

    The run begins with the frozen value of node `start`, to which nothing has been added yet.
    Nodes before `start` have their frozen values.

    Parameters
    ----------
    start : int
        First node.
    end : int
        Last node.
    edges : tuple of Edge
        Edges that are active in this pass and add to a node.
    read : frozenset of int
        Nodes that an edge reads, in this pass or the next.
    inside : frozenset of Edge, default=frozenset()
        Edges whose adapters are inside the sub-layer that they span.
    inserting : Edge or None, default=None
        Edge whose adapter puts tokens into its target.

    Examples
    --------
    >>> from autoplace.placement import Edge
    >>> run = Pass(start=3, end=24, edges=(Edge(0, 5), Edge(7, 3)), read=frozenset({0, 7}))
    >>> run.injections(5)
    (Edge(source=0, target=5),)
    """

    start: int
    end: int
    edges: tuple[Edge, ...]
    read: frozenset[int]
    inside: frozenset[Edge] = frozenset()
    inserting: Edge | None = None

    def injections(self, node: int) -> tuple[Edge, ...]:
        """Return the edges that add to `node` in this pass."""
        return tuple(edge for edge in self.edges if edge.target == node)

    def within(self, node: int) -> Edge | None:
        """Return the edge whose adapter is inside the sub-layer that computes `node`."""
        edge = Edge(node - 1, node) if node else None
        return edge if edge in self.inside else None


@dataclass(frozen=True)
class Schedule:
    """The passes of a placement in order; the last one computes the output.

    `full` runs every pass from the embeddings, as a placement is defined. `suffix` runs only
    what depends on a trainable weight and gives the same outputs.

    Parameters
    ----------
    passes : tuple of Pass
        The passes.

    Notes
    -----
    In any pass, nothing before the lowest target depends on a trainable weight, so the pass
    starts there, or at the node before the first sub-layer that is changed inside. A pass before
    the last one stops at the highest node that a recurrent edge reads. If it would stop before it
    starts, all of its values are frozen and it is left out.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> placement = Placement.parse("0>5+7>3@bottleneck:r=8")
    >>> [(run.start, run.end) for run in Schedule.full(placement, n_nodes=25).passes]
    [(0, 24), (0, 24)]
    >>> suffix = Schedule.suffix(placement, n_nodes=25)
    >>> [(run.start, run.end) for run in suffix.passes]
    [(5, 7), (3, 24)]
    >>> suffix.frozen_nodes
    (0, 3, 5)
    """

    passes: tuple[Pass, ...]

    @classmethod
    def full(cls, placement: Placement, n_nodes: int) -> Self:
        """Run every pass over every node."""
        active = _active_by_pass(placement)
        read = _read(placement)
        return cls(
            tuple(
                Pass(0, n_nodes - 1, each.adding, read, each.inside, each.inserting)
                for each in active
            )
        )

    @classmethod
    def suffix(cls, placement: Placement, n_nodes: int) -> Self:
        """Run every pass over only those nodes that are needed and not constant."""
        last = n_nodes - 1
        highest_read = max((e.source for e in placement.edges if _recurrent(e)), default=last)
        read = _read(placement)
        by_pass = _active_by_pass(placement)
        passes = []
        for number, active in enumerate(by_pass, start=1):
            end = last if number == len(by_pass) else highest_read
            adding = tuple(edge for edge in active.adding if edge.target <= end)
            inside = frozenset(edge for edge in active.inside if edge.target <= end)
            # A sub-layer that is changed inside runs from the node before it.
            firsts = [edge.target for edge in adding] + [edge.source for edge in inside]
            if active.inserting is not None:
                firsts.append(active.inserting.target)
            if number == len(by_pass) or firsts:
                start = min(firsts, default=last)
                passes.append(Pass(start, end, adding, read, inside, active.inserting))
        return cls(tuple(passes))

    @property
    def frozen_nodes(self) -> tuple[int, ...]:
        """Nodes whose frozen values are needed, sorted."""
        needed: set[int] = set()
        computed_from: int | None = None  # first node that the pass before has computed
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


class _Active(NamedTuple):
    """The active edges of a pass: what adds to a node, is inside a sub-layer, puts in tokens."""

    adding: tuple[Edge, ...]
    inside: frozenset[Edge]
    inserting: Edge | None


def _active_by_pass(placement: Placement) -> list[_Active]:
    """Return the active edges of each pass: recurrent ones are active from the second pass on."""
    inside = frozenset(edge for edge, spec in placement if is_inside(spec))
    inserting = next((edge for edge, spec in placement if inserts_tokens(spec)), None)
    adding = tuple(edge for edge in placement.edges if edge not in inside and edge != inserting)
    forward = tuple(edge for edge in adding if not _recurrent(edge))
    if not placement.is_recurrent:
        return [_Active(forward, inside, inserting)]
    later = _Active(adding, inside, inserting)
    return [_Active(forward, inside, inserting)] + [later] * (placement.unroll - 1)


def _read(placement: Placement) -> frozenset[int]:
    """Nodes that an adapter reads as its source."""
    return frozenset(edge.source for edge, spec in placement if not is_inside(spec))
