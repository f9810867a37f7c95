"""How the schedules of one or several placements run over one chain, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from autoplace.backbones import ResidualChain
from autoplace.model._schedule import Pass, Schedule
from autoplace.placement import Edge, EdgeKind


@dataclass(frozen=True)
class Reading:
    """A placement's adapter is asked what it adds, given the value (batch, tokens, dim) it reads.

    member: number of the placement among those that run together.
    """

    member: int
    edge: Edge
    source: Tensor


# What the adapters of all readings add, each shaped like its source.
Adapt = Callable[[Sequence[Reading]], Sequence[Tensor]]
Values = dict[int, Tensor]


def run_together(
    chain: ResidualChain,
    schedules: Sequence[Schedule],
    frozen: Sequence[Mapping[int, Tensor]],
    adapt: Adapt,
) -> list[Tensor]:
    """The last node (batch, tokens, dim) of every placement.

    Sub-layers of the chain see the rows of all placements as one batch; rows of a placement enter
    at the start of its pass and leave at its end. All last passes run in the last round.

    frozen: for each placement the chain's own value at its schedule's frozen nodes. Batches may
    differ in size.
    """
    rounds = max(len(schedule.passes) for schedule in schedules)
    values: dict[int, Values] = {member: {} for member in range(len(schedules))}
    for number in range(rounds):
        passes = {
            member: schedule.passes[number - rounds]
            for member, schedule in enumerate(schedules)
            if number >= rounds - len(schedule.passes)
        }
        values |= _run_round(chain, passes, frozen, values, adapt)
    last = chain.n_nodes - 1
    return [values[member][last] for member in range(len(schedules))]


def _run_round(
    chain: ResidualChain,
    passes: Mapping[int, Pass],
    frozen: Sequence[Mapping[int, Tensor]],
    previous: Mapping[int, Values],
    adapt: Adapt,
) -> dict[int, Values]:
    """One pass of each placement, over the nodes of all; what later readings need is kept."""
    kept: dict[int, Values] = {member: {} for member in passes}
    stream, last = _Stream(chain), chain.n_nodes - 1
    for node in range(chain.n_nodes):
        raw = stream.step(node)
        raw |= {m: frozen[m][node] for m, each in passes.items() if each.start == node}
        readings = [
            Reading(m, edge, _source_value(edge, raw[m], kept[m], previous[m], frozen[m]))
            for m in raw
            for edge in passes[m].injections(node)
        ]
        injected = dict(raw)
        for reading, added in zip(readings, adapt(readings) if readings else (), strict=True):
            injected[reading.member] = injected[reading.member] + added
        for m, value in injected.items():
            if node in passes[m].read or node == last:
                kept[m][node] = value
        stream.go_on({m: value for m, value in injected.items() if node < passes[m].end}, raw)
    return kept


class _Stream:
    """The rows of several placements between two nodes; joined anew only where one has changed."""

    def __init__(self, chain: ResidualChain) -> None:
        self._chain = chain
        self._values: Values = {}
        self._joined: Tensor | None = None

    def step(self, node: int) -> Values:
        """The value at `node` of every placement that goes on from the node before."""
        parts = list(self._values.values())
        if not parts:
            return {}
        joined = self._joined
        if joined is None:
            joined = parts[0] if len(parts) == 1 else torch.cat(parts)
        self._joined = self._chain.step(node, joined)
        if len(parts) == 1:
            return dict.fromkeys(self._values, self._joined)
        stepped = self._joined.split([len(part) for part in parts])
        return dict(zip(self._values, stepped, strict=True))

    def go_on(self, values: Values, raw: Values) -> None:
        """Take these values on to the next node; `raw` are those of this one before injection."""
        same = values.keys() == self._values.keys() == raw.keys()
        if not same or any(values[member] is not raw[member] for member in values):
            self._joined = None
        self._values = values


def _source_value(
    edge: Edge, raw: Tensor, current: Values, previous: Values, frozen: Mapping[int, Tensor]
) -> Tensor:
    match edge.kind:
        case EdgeKind.SEQUENTIAL:
            return raw
        case EdgeKind.RECURRENT:
            computed = previous
        case _:
            computed = current
    return computed[edge.source] if edge.source in computed else frozen[edge.source]
