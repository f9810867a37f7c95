"""One parameter budget for placements of every size: more edges, less rank."""

from __future__ import annotations

from collections.abc import Sequence

from autoplace.adapters._registry import adapter_class, adapter_config
from autoplace.placement import AdapterSpec, Edge, Placement


def count_parameters(placement: Placement, dim: int) -> int:
    """Trainable adapter parameters of a placement; the head is not counted."""
    return sum(edge_parameters(spec, dim) for _, spec in placement)


def edge_parameters(spec: AdapterSpec, dim: int) -> int:
    """Trainable parameters of one adapter, without building it."""
    return adapter_class(spec.kind).parameters_at(adapter_config(spec).r, dim)


def within_budget(
    edges: Sequence[Edge], kind: str, dim: int, max_parameters: int
) -> Placement | None:
    """The edges with adapters of the highest common rank that the budget allows.

    Ranks stop at `dim`, beyond which a map gains nothing. Returns None where not even rank 1 fits.
    """
    count = adapter_class(kind).parameters_at
    share = max_parameters // max(len(edges), 1)
    rank = max((r for r in range(1, dim + 1) if count(r, dim) <= share), default=0)
    return Placement.of(edges, AdapterSpec.of(kind, r=rank)) if rank else None
