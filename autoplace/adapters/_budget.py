"""One parameter budget for placements of every size and kind: more edges, less rank."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoplace.adapters._base import RankConfig
from autoplace.adapters._registry import adapter_class, adapter_config, group_of
from autoplace.backbones import BackboneShape
from autoplace.placement import AdapterSpec, Edge, Placement, PlacementError


@dataclass(frozen=True)
class ParameterBudget:
    """The number of adapter parameters that a placement may have.

    Parameters
    ----------
    spec : AdapterSpec
        Adapter kind that is put on every edge, with its options; the rank is set by the budget.
    shape : BackboneShape
        Sizes of the backbone.
    parameters : int
        Most adapter parameters of a placement; the head is not counted.

    Examples
    --------
    >>> from autoplace.placement import Edge
    >>> shape = BackboneShape.plain(dim=96)
    >>> budget = ParameterBudget(AdapterSpec("bottleneck"), shape, parameters=9264)
    >>> str(budget.fit([Edge(1, 5)]))
    '1>5@bottleneck:r=48'
    >>> str(budget.fit([Edge(0, 3), Edge(1, 5), Edge(7, 2)]))
    '0>3+1>5+7>2@bottleneck:r=16'
    >>> str(budget.fit([Edge(0, 3), Edge(1, 5)], weights=[2.0, 1.0]))
    '0>3@bottleneck:r=32+1>5@bottleneck:r=16'
    >>> budget.smallest
    193
    """

    spec: AdapterSpec
    shape: BackboneShape
    parameters: int

    @property
    def kind(self) -> str:
        """The adapter kind."""
        return self.spec.kind

    def fit(
        self,
        edges: Sequence[Edge],
        weights: Sequence[float] | None = None,
        specs: Sequence[AdapterSpec] | None = None,
    ) -> Placement | None:
        """Put adapters of the highest ranks that the budget allows on the edges.

        Parameters
        ----------
        edges : sequence of Edge
            Distinct edges, in any order.
        weights : sequence of float or None, default=None
            For each edge, a positive number; ranks are in proportion to them as far as whole
            numbers from 1 to `dim` can be. What equal weights leave over goes to edges with
            early targets. None puts the highest common rank on all edges. Weights have no use
            for kinds without a rank, and for kinds whose edges have parameters in common.
        specs : sequence of AdapterSpec or None, default=None
            For each edge, kind and options if they are not `spec`.

        Returns
        -------
        Placement or None
            None if not even rank 1 fits, or a kind cannot be on its edge. A rank is at most
            `dim`: a higher one adds nothing to the map.

        Raises
        ------
        PlacementError
            If an adapter kind is unknown.
        """
        templates = list(specs or [self.spec] * len(edges))
        pairs = list(zip(templates, edges, strict=True))
        if not all(_serves(spec, edge, self.shape) for spec, edge in pairs):
            return None

        def used(rank: int) -> int:
            return count_parameters(_at_rank(pairs, [rank] * len(pairs)), self.shape)

        one, step = used(1), used(2) - used(1)
        if one > self.parameters:
            return None
        # The number of parameters grows in proportion to the rank; in some kinds it grows faster.
        rank = min(self.shape.dim, 1 + (self.parameters - one) // step) if step else 1
        if used(rank) > self.parameters:
            rank = bisect_right(range(1, rank), self.parameters, key=used)
        ranks = [rank] * len(edges)
        if weights is not None and not any(adapter_class(spec.kind).shared for spec in templates):
            ranks = self._ranks(pairs, weights, self.parameters - one)
        return _at_rank(pairs, ranks)

    def serves(self, edge: Edge) -> bool:
        """Whether the kind with these options can be on an edge."""
        return _serves(self.spec, edge, self.shape)

    def _ranks(
        self, pairs: Sequence[tuple[AdapterSpec, Edge]], weights: Sequence[float], left: int
    ) -> list[int]:
        """Give out ranks one by one, each to the edge that lacks most (Sainte-Laguë's method)."""
        ranks = [1] * len(pairs)
        costs = [self._cost(spec, edge, 1) for spec, edge in pairs]
        queue = [
            (1.5 / weight, edge.target, index)
            for index, ((_, edge), weight) in enumerate(zip(pairs, weights, strict=True))
        ]
        heapq.heapify(queue)
        while queue:
            _, target, index = heapq.heappop(queue)
            (spec, edge), rank = pairs[index], ranks[index]
            cost = self._cost(spec, edge, rank + 1)
            more = cost - costs[index]
            # No more for an edge that has the full rank, or where the next one costs too much or
            # changes nothing.
            if rank < self.shape.dim and 0 < more <= left:
                ranks[index], costs[index] = rank + 1, cost
                left -= more
                heapq.heappush(queue, ((rank + 1.5) / weights[index], target, index))
        return ranks

    @property
    def smallest(self) -> int:
        """Parameters of one edge of rank 1, where it costs least; with fewer, nothing fits."""
        nodes = range(min(self.shape.n_nodes, 3))
        edges = [Edge(source, target) for source in nodes for target in nodes]
        return min(self._cost(self.spec, edge, 1) for edge in edges if self.serves(edge))

    def cost_per_rank(self, spec: AdapterSpec, edge: Edge) -> int:
        """Return what a second rank costs on an edge."""
        return self._cost(spec, edge, 2) - self._cost(spec, edge, 1)

    def _cost(self, spec: AdapterSpec, edge: Edge, rank: int) -> int:
        config = adapter_config(spec)
        if isinstance(config, RankConfig):
            config = replace(config, r=rank)
        return adapter_class(spec.kind).parameters_at(config, self.shape, edge)


def _at(spec: AdapterSpec, rank: int) -> AdapterSpec:
    """Give a spec a rank, if its kind has one."""
    if not issubclass(adapter_class(spec.kind).Config, RankConfig):
        return spec
    return AdapterSpec(spec.kind, tuple((dict(spec.options) | {"r": rank}).items()))


def _at_rank(pairs: Sequence[tuple[AdapterSpec, Edge]], ranks: Sequence[int]) -> Placement:
    return Placement(
        tuple((edge, _at(spec, rank)) for (spec, edge), rank in zip(pairs, ranks, strict=True))
    )


def _serves(spec: AdapterSpec, edge: Edge, shape: BackboneShape) -> bool:
    config = adapter_config(spec)
    try:
        adapter_class(spec.kind).check(config, shape, edge)
    except PlacementError:
        return False
    return True


def count_parameters(placement: Placement, shape: BackboneShape) -> int:
    """Count the trainable adapter parameters of a placement.

    Parameters
    ----------
    placement : Placement
        Edges with their adapters.
    shape : BackboneShape
        Sizes of the backbone.

    Returns
    -------
    int
        Sum over all edges; what edges have in common is counted once, the head not at all.

    Raises
    ------
    PlacementError
        If an adapter kind or option is unknown.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> placement = Placement.parse("0>5+7>3@bottleneck:r=8")
    >>> count_parameters(placement, BackboneShape.plain(dim=96))
    3088
    """
    total = sum(edge_parameters(spec, edge, shape) for edge, spec in placement)
    groups = set()
    for edge, spec in placement:
        if (group := group_of(spec, edge)) in groups:
            kind, config = adapter_class(spec.kind), adapter_config(spec)
            total -= kind.shared_parameters_at(config, shape, edge)
        groups.add(group)
    return total


def edge_parameters(spec: AdapterSpec, edge: Edge, shape: BackboneShape) -> int:
    """Count the trainable parameters of one adapter without building it.

    Parameters
    ----------
    spec : AdapterSpec
        Kind and options of the adapter.
    edge : Edge
        Edge that it is on.
    shape : BackboneShape
        Sizes of the backbone.

    Returns
    -------
    int
        Number of trainable parameters.

    Raises
    ------
    PlacementError
        If the adapter kind or an option is unknown.

    Examples
    --------
    >>> from autoplace.placement import AdapterSpec, Edge
    >>> edge_parameters(AdapterSpec.of("linear", r=8), Edge(7, 3), BackboneShape.plain(dim=96))
    1536
    """
    return adapter_class(spec.kind).parameters_at(adapter_config(spec), shape, edge)
