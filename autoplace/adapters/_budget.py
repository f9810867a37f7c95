"""One parameter budget for placements of every size and kind: more edges, less rank."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from autoplace.adapters._base import RankConfig
from autoplace.adapters._registry import adapter_class, adapter_config
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
        self, edges: Sequence[Edge], weights: Sequence[float] | None = None
    ) -> Placement | None:
        """Put adapters of the highest ranks that the budget allows on the edges.

        Parameters
        ----------
        edges : sequence of Edge
            Distinct edges, in any order.
        weights : sequence of float or None, default=None
            For each edge, a positive number; ranks are in proportion to them as far as whole
            numbers from 1 to `dim` can be. What equal weights leave over goes to edges with
            early targets. None puts the highest common rank on all edges. Kinds without a rank
            have no use for weights.

        Returns
        -------
        Placement or None
            None if not even rank 1 fits, or the kind cannot be on an edge. A rank is at most
            `dim`: a higher one adds nothing to the map.

        Raises
        ------
        PlacementError
            If the adapter kind is unknown.
        """
        if not all(self.serves(edge) for edge in edges):
            return None
        if not self._has_rank:
            used = sum(edge_parameters(self.spec, edge, self.shape) for edge in edges)
            return Placement.of(edges, self.spec) if used <= self.parameters else None
        # The number of parameters grows with the rank; in some kinds faster than in proportion.
        possible = range(1, self.shape.dim + 1)
        rank = bisect_right(possible, self.parameters, key=lambda rank: self._total(edges, rank))
        if rank < 1:
            return None
        ranks = [rank] * len(edges)
        if weights is not None:
            ranks = self._ranks(edges, weights)
        specs = [self._at(rank) for rank in ranks]
        return Placement(tuple(zip(edges, specs, strict=True)))

    def serves(self, edge: Edge) -> bool:
        """Whether the kind with these options can be on an edge."""
        config = adapter_config(self.spec)
        try:
            adapter_class(self.kind).check(config, self.shape, edge)
        except PlacementError:
            return False
        return True

    def _ranks(self, edges: Sequence[Edge], weights: Sequence[float]) -> list[int]:
        """Give out ranks one by one, each to the edge that lacks most (Sainte-Laguë's method)."""
        ranks = [1] * len(edges)
        left = self.parameters - self._total(edges, 1)
        queue = [
            (1.5 / weight, edge.target, index)
            for index, (edge, weight) in enumerate(zip(edges, weights, strict=True))
        ]
        heapq.heapify(queue)
        while queue:
            _, target, index = heapq.heappop(queue)
            edge, rank = edges[index], ranks[index]
            cost = self._cost(edge, rank + 1) - self._cost(edge, rank)
            # An edge that has the full rank, or whose next rank costs too much, gets no more.
            if rank < self.shape.dim and cost <= left:
                ranks[index] += 1
                left -= cost
                heapq.heappush(queue, ((ranks[index] + 0.5) / weights[index], target, index))
        return ranks

    @property
    def smallest(self) -> int:
        """Parameters of one edge of rank 1, where it costs least; with fewer, nothing fits."""
        nodes = range(min(self.shape.n_nodes, 3))
        edges = [Edge(source, target) for source in nodes for target in nodes]
        return min(self._cost(edge, 1) for edge in edges if self.serves(edge))

    @property
    def _has_rank(self) -> bool:
        return isinstance(adapter_config(self.spec), RankConfig)

    def _at(self, rank: int) -> AdapterSpec:
        options = dict(self.spec.options) | {"r": rank}
        return AdapterSpec(self.kind, tuple(options.items()))

    def _total(self, edges: Sequence[Edge], rank: int) -> int:
        """Count the parameters of adapters of one rank on some edges."""
        return sum(self._cost(edge, rank) for edge in edges)

    def _cost(self, edge: Edge, rank: int) -> int:
        spec = self._at(rank) if self._has_rank else self.spec
        return edge_parameters(spec, edge, self.shape)


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
        Sum over all edges; the head is not counted.

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
    return sum(edge_parameters(spec, edge, shape) for edge, spec in placement)


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
