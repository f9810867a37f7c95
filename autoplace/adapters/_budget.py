"""One parameter budget for placements of every size: more edges, less rank."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from autoplace.adapters._registry import adapter_class, adapter_config
from autoplace.placement import AdapterSpec, Edge, Placement


@dataclass(frozen=True)
class ParameterBudget:
    """The number of adapter parameters that a placement may have.

    Parameters
    ----------
    kind : str
        Adapter kind that is put on every edge.
    dim : int
        Width of the residual stream.
    parameters : int
        Most adapter parameters of a placement; the head is not counted.

    Examples
    --------
    >>> from autoplace.placement import Edge
    >>> budget = ParameterBudget("bottleneck", dim=96, parameters=9264)
    >>> str(budget.fit([Edge(1, 5)]))
    '1>5@bottleneck:r=48'
    >>> str(budget.fit([Edge(0, 3), Edge(1, 5), Edge(7, 2)]))
    '0>3+1>5+7>2@bottleneck:r=16'
    >>> str(budget.fit([Edge(0, 3), Edge(1, 5)], weights=[2.0, 1.0]))
    '0>3@bottleneck:r=32+1>5@bottleneck:r=16'
    >>> budget.smallest
    193
    """

    kind: str
    dim: int
    parameters: int

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
            early targets. None puts the highest common rank on all edges.

        Returns
        -------
        Placement or None
            None if not even rank 1 fits. A rank is at most `dim`: a higher one adds nothing to
            the map.

        Raises
        ------
        PlacementError
            If the adapter kind is unknown.
        """
        count = adapter_class(self.kind).parameters_at
        share = self.parameters // max(len(edges), 1)
        rank = max((r for r in range(1, self.dim + 1) if count(r, self.dim) <= share), default=0)
        if not rank:
            return None
        ranks = [rank] * len(edges)
        if weights is not None:
            ranks = self._ranks(edges, weights)
        specs = [AdapterSpec.of(self.kind, r=rank) for rank in ranks]
        return Placement(tuple(zip(edges, specs, strict=True)))

    def _ranks(self, edges: Sequence[Edge], weights: Sequence[float]) -> list[int]:
        """Give out ranks one by one, each to the edge that lacks most (Sainte-Laguë's method)."""
        count = adapter_class(self.kind).parameters_at
        ranks = [1] * len(edges)
        left = self.parameters - len(edges) * count(1, self.dim)
        queue = [
            (1.5 / weight, edge.target, index)
            for index, (edge, weight) in enumerate(zip(edges, weights, strict=True))
        ]
        heapq.heapify(queue)
        while queue:
            _, target, index = heapq.heappop(queue)
            rank = ranks[index]
            cost = count(rank + 1, self.dim) - count(rank, self.dim)
            # An edge that has the full rank, or whose next rank costs too much, gets no more.
            if rank < self.dim and cost <= left:
                ranks[index] = rank + 1
                left -= cost
                heapq.heappush(queue, ((rank + 1.5) / weights[index], target, index))
        return ranks

    @property
    def smallest(self) -> int:
        """Parameters of one edge of rank 1; with fewer, no placement fits."""
        return adapter_class(self.kind).parameters_at(1, self.dim)


def count_parameters(placement: Placement, dim: int) -> int:
    """Count the trainable adapter parameters of a placement.

    Parameters
    ----------
    placement : Placement
        Edges with their adapters.
    dim : int
        Width of the residual stream.

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
    >>> count_parameters(Placement.parse("0>5+7>3@bottleneck:r=8"), dim=96)
    3088
    """
    return sum(edge_parameters(spec, dim) for _, spec in placement)


def edge_parameters(spec: AdapterSpec, dim: int) -> int:
    """Count the trainable parameters of one adapter without building it.

    Parameters
    ----------
    spec : AdapterSpec
        Kind and options of the adapter.
    dim : int
        Width of the residual stream.

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
    >>> from autoplace.placement import AdapterSpec
    >>> edge_parameters(AdapterSpec.of("linear", r=8), dim=96)
    1536
    """
    return adapter_class(spec.kind).parameters_at(adapter_config(spec).r, dim)
