"""Running the schedules of one or several placements over one chain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from autoplace.backbones import Changes, OpenChain, ResidualChain, Site
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


@dataclass(frozen=True)
class SiteReading:
    """What an adapter inside a sub-layer changes at a site.

    Attributes
    ----------
    member : int
        Number of the placement among those that run together.
    edge : Edge
        Edge of the adapter.
    given, output : Tensor of shape (batch, tokens, width)
        Input and output of the site for the rows of this placement.
    """

    member: int
    edge: Edge
    given: Tensor
    output: Tensor


class Adapters(Protocol):
    """The adapters of the placements that run together."""

    def sites(self, member: int, edge: Edge) -> Sequence[Site]:
        """Where an adapter inside a sub-layer changes something."""

    def extra_tokens(self, member: int, edge: Edge) -> int:
        """How many tokens attention sees besides those of the stream."""

    def add(self, readings: Sequence[Reading]) -> Sequence[Tensor]:
        """Compute what the adapter of each reading adds, shaped like its source."""

    def insert(self, readings: Sequence[Reading]) -> Sequence[Tensor]:
        """Put tokens into the source of each reading."""

    def remove(self, member: int, edge: Edge, hidden: Tensor) -> Tensor:
        """Take out the tokens that the adapter on an edge has put in."""

    def change(self, site: Site, readings: Sequence[SiteReading]) -> Sequence[Tensor]:
        """Compute the changed output of each reading."""


Values = dict[int, Tensor]


def run_together(
    chain: ResidualChain | OpenChain,
    schedules: Sequence[Schedule],
    frozen: Sequence[Mapping[int, Tensor]],
    adapters: Adapters,
) -> list[Tensor]:
    """Run several placements side by side and return the last node of each.

    The sub-layers of the chain process the rows of all placements as one batch. The rows of a
    placement join at the start of its pass and leave at its end. The last passes of all
    placements run in the same round.

    Parameters
    ----------
    chain : ResidualChain or OpenChain
        The frozen backbone; open if an adapter is inside a sub-layer.
    schedules : sequence of Schedule
        Schedule of each placement.
    frozen : sequence of mapping of int to Tensor of shape (batch, tokens, dim)
        For each placement, the chain's values at the frozen nodes of its schedule. Batches may
        differ in size.
    adapters : Adapters
        The adapters of all placements.

    Returns
    -------
    list of Tensor of shape (batch, tokens, dim)
        Last node of each placement, without the tokens that adapters have put in.
    """
    rounds = max(len(schedule.passes) for schedule in schedules)
    values: dict[int, Values] = {member: {} for member in range(len(schedules))}
    for number in range(rounds):
        passes = {
            member: schedule.passes[number - rounds]
            for member, schedule in enumerate(schedules)
            if number >= rounds - len(schedule.passes)
        }
        values |= _run_round(chain, passes, frozen, values, adapters)
    results = []
    for member, schedule in enumerate(schedules):
        hidden, inserting = values[member][chain.n_nodes - 1], schedule.passes[-1].inserting
        results.append(hidden if inserting is None else adapters.remove(member, inserting, hidden))
    return results


def _run_round(
    chain: ResidualChain | OpenChain,
    passes: Mapping[int, Pass],
    frozen: Sequence[Mapping[int, Tensor]],
    previous: Mapping[int, Values],
    adapters: Adapters,
) -> dict[int, Values]:
    """Run one pass of each placement and return the values that later readings need."""
    kept: dict[int, Values] = {member: {} for member in passes}
    stream, last = _Stream(chain, adapters), chain.n_nodes - 1
    for node in range(chain.n_nodes):
        raw = stream.step(node, {m: current.within(node) for m, current in passes.items()})
        raw |= {m: frozen[m][node] for m, current in passes.items() if current.start == node}
        raw |= _with_tokens(node, passes, raw, adapters)
        readings = [
            Reading(m, edge, _source_value(edge, raw[m], kept[m], previous[m], frozen[m]))
            for m in raw
            for edge in passes[m].injections(node)
        ]
        injected = dict(raw)
        for reading, added in zip(
            readings, adapters.add(readings) if readings else (), strict=True
        ):
            injected[reading.member] = injected[reading.member] + added
        for m, value in injected.items():
            if node in passes[m].read or node == last:
                kept[m][node] = value
        stream.advance({m: value for m, value in injected.items() if node < passes[m].end}, raw)
    return kept


def _with_tokens(node: int, passes: Mapping[int, Pass], raw: Values, adapters: Adapters) -> Values:
    """Return the values of the placements that put tokens in at `node`, with these tokens."""
    readings = [
        Reading(m, edge, value)
        for m, value in raw.items()
        if (edge := passes[m].inserting) is not None and edge.target == node
    ]
    longer = adapters.insert(readings) if readings else ()
    return {reading.member: value for reading, value in zip(readings, longer, strict=True)}


class _Stream:
    """The rows of several placements between two nodes; joined again only if one has changed."""

    def __init__(self, chain: ResidualChain | OpenChain, adapters: Adapters) -> None:
        self._chain = chain
        self._adapters = adapters
        self._values: Values = {}
        self._joined: Tensor | None = None

    def step(self, node: int, inside: Mapping[int, Edge | None]) -> Values:
        """Compute the value at `node` of every placement that was at the node before.

        Parameters
        ----------
        node : int
            Node to compute.
        inside : mapping of int to (Edge or None)
            For each placement, the edge whose adapter changes the sub-layer, if there is one.
        """
        if not self._values:
            return {}
        changed = {m: edge for m in self._values if (edge := inside[m]) is not None}
        extra = {m: self._adapters.extra_tokens(m, edge) for m, edge in changed.items()}
        # Rows of other lengths, or for which attention sees more tokens, need another batch.
        batches: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for m, value in self._values.items():
            batches[value.shape[1], extra.get(m, 0)].append(m)
        if len(batches) > 1:
            self._joined = None
        values: Values = {}
        for (_, extra_tokens), members in batches.items():
            part = {m: edge for m, edge in changed.items() if m in members}
            values |= self._step_rows(node, part, members, extra_tokens)
            if len(batches) > 1:
                self._joined = None
        return {m: values[m] for m in self._values}

    def _step_rows(
        self, node: int, changed: Mapping[int, Edge], members: Sequence[int], extra_tokens: int
    ) -> Values:
        """Compute the value at `node` of some placements, as one batch."""
        parts = [self._values[m] for m in members]
        joined = self._joined
        if joined is None:
            joined = parts[0] if len(parts) == 1 else torch.cat(parts)
        sizes = [len(part) for part in parts]
        if changed:
            assert isinstance(self._chain, OpenChain), "the chain cannot be changed inside"
            changes = self._changes(changed, members, sizes, extra_tokens)
            self._joined = self._chain.step(node, joined, changes)
        else:
            self._joined = self._chain.step(node, joined)
        return dict(zip(members, _split(self._joined, sizes), strict=True))

    def _changes(
        self,
        changed: Mapping[int, Edge],
        members: Sequence[int],
        sizes: Sequence[int],
        extra_tokens: int,
    ) -> Changes:
        """Let each adapter change the rows of its placement."""
        sites = {m: tuple(self._adapters.sites(m, edge)) for m, edge in changed.items()}

        def change(site: Site, given: Tensor, output: Tensor) -> Tensor:
            inputs, outputs = _split(given, sizes), _split(output, sizes)
            at = [n for n, m in enumerate(members) if site in sites.get(m, ())]
            readings = [
                SiteReading(members[n], changed[members[n]], inputs[n], outputs[n]) for n in at
            ]
            for n, found in zip(at, self._adapters.change(site, readings), strict=True):
                outputs[n] = found
            return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

        return Changes(
            tuple({site for some in sites.values() for site in some}), change, extra_tokens
        )

    def advance(self, values: Values, raw: Values) -> None:
        """Set the values to start the next step from; `raw` are those before injection."""
        same = values.keys() == self._values.keys() == raw.keys()
        if not same or any(values[member] is not raw[member] for member in values):
            self._joined = None
        self._values = values


def _split(joined: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    return [joined] if len(sizes) == 1 else list(torch.split(joined, list(sizes)))


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
