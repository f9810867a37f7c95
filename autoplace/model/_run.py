"""Running the schedules of one or several placements over one chain."""

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
    """The input of an adapter.

    Attributes
    ----------
    member : int
        Number of the placement among those that run together.
    edge : Edge
        Edge of the adapter.
    source : Tensor of shape (batch, tokens, dim)
        Value that the adapter reads.
    """

    member: int
    edge: Edge
    source: Tensor


# Computes what the adapter of each reading adds, shaped like its source.
Adapt = Callable[[Sequence[Reading]], Sequence[Tensor]]
Values = dict[int, Tensor]


def run_together(
    chain: ResidualChain,
    schedules: Sequence[Schedule],
    frozen: Sequence[Mapping[int, Tensor]],
    adapt: Adapt,
) -> list[Tensor]:
    """Run several placements side by side and return the last node of each.

    The sub-layers of the chain process the rows of all placements as one batch. The rows of a
    placement join at the start of its pass and leave at its end. The last passes of all
    placements run in the same round.

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone.
    schedules : sequence of Schedule
        Schedule of each placement.
    frozen : sequence of mapping of int to Tensor of shape (batch, tokens, dim)
        For each placement, the chain's values at the frozen nodes of its schedule. Batches may
        differ in size.
    adapt : callable
        Applies the adapters.

    Returns
    -------
    list of Tensor of shape (batch, tokens, dim)
        Last node of each placement.
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
    """Run one pass of each placement and return the values that later readings need."""
    kept: dict[int, Values] = {member: {} for member in passes}
    stream, last = _Stream(chain), chain.n_nodes - 1
    for node in range(chain.n_nodes):
        raw = stream.step(node)
        raw |= {m: frozen[m][node] for m, current in passes.items() if current.start == node}
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
        stream.advance({m: value for m, value in injected.items() if node < passes[m].end}, raw)
    return kept


class _Stream:
    """The rows of several placements between two nodes; joined again only if one has changed."""

    def __init__(self, chain: ResidualChain) -> None:
        self._chain = chain
        self._values: Values = {}
        self._joined: Tensor | None = None

    def step(self, node: int) -> Values:
        """Compute the value at `node` of every placement that was at the node before."""
        parts = list(self._values.values())
        if not parts:
            return {}
        joined = self._joined
        if joined is None:
            joined = parts[0] if len(parts) == 1 else torch.cat(parts)
        self._joined = self._chain.step(node, joined)
        if len(parts) == 1:
            return dict.fromkeys(self._values, self._joined)
        stepped = torch.split(self._joined, [len(part) for part in parts])
        return dict(zip(self._values, stepped, strict=True))

    def advance(self, values: Values, raw: Values) -> None:
        """Set the values to start the next step from; `raw` are those before injection."""
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
