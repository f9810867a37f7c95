"""Propose every candidate for a task, all within one parameter budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product
from typing import NamedTuple

import numpy as np

from autoplace.adapters import ParameterBudget, is_inside, sublayer_of
from autoplace.agent.steps._kinds import Variant, variants
from autoplace.agent.steps._space import SearchSpace
from autoplace.errors import UserError
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.placement.generators import (
    ALL,
    candidate_edge_sets,
    early_fans,
    every_block,
    near_every_block,
    sublayer_sets,
)
from autoplace.probing import ProbeTables

# What stands beside LoRA in mixed candidates: parts of the names of edge sets of bottlenecks.
_COMPANIONS = ("hub=3,reach=2+5", "all+recurrent-1", "all+recurrent-2")
_MIXED_SETS = ("all", "early-half")


@dataclass(frozen=True)
class Candidate:
    """A placement and the generator that proposed it, e.g. `gga:n=6,gamma=0.6`."""

    placement: Placement
    chosen_by: str

    @property
    def kinds(self) -> str:
        """The adapter kinds, joined by `+`."""
        return "+".join(sorted({spec.kind for _, spec in self.placement}))


class _Set(NamedTuple):
    name: str
    edges: tuple[Edge, ...]
    weights: tuple[float, ...] | None
    specs: tuple[AdapterSpec, ...] | None


def propose(tables: ProbeTables, space: SearchSpace, seed: int) -> list[Candidate]:
    """Return all distinct candidates of every kind in the search space.

    A placement that is proposed twice keeps the name of the first generator.

    Parameters
    ----------
    tables : ProbeTables
        The probe's tables of the task.
    space : SearchSpace
        Kinds and budget; sets that do not fit, or on whose edges a kind cannot be, are left out.
    seed : int
        Seed of the random sets.
    """
    ranks = tables.matrix("gradient_rank")
    ties = np.nan_to_num(tables.matrix("stable_rank"))
    candidates: dict[Placement, Candidate] = {}
    for budget, each in _sets(space, ranks, ties, seed):
        placement = budget.fit(each.edges, each.weights, each.specs)
        if placement is not None:
            candidates.setdefault(placement, Candidate(placement, each.name))
    return list(candidates.values())


def most_candidates(space: SearchSpace, n_nodes: int) -> int:
    """Return how many candidates `propose` can return at most, without a probe.

    They may be fewer, because sets may not fit, or give the same placement.

    Examples
    --------
    >>> from autoplace.agent.steps._space import search_space
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.settings import PlacementSettings
    >>> space = search_space(create_chain("starter"), PlacementSettings(adapter="bottleneck"))
    >>> most_candidates(space, n_nodes=25)
    933
    """
    flat = np.zeros((n_nodes, n_nodes))
    return sum(1 for _ in _sets(space, flat, flat, seed=0))


def check_top_k(top_k: int, most: int) -> None:
    """Raise UserError if more finalists are wanted than there can be candidates."""
    if top_k > most:
        raise UserError(
            f"--top-k is {top_k}, but there are at most {most} candidates; give a smaller number"
        )


def _sets(
    space: SearchSpace, ranks: np.ndarray, ties: np.ndarray, seed: int
) -> Iterator[tuple[ParameterBudget, _Set]]:
    """All sets of edges with what is on them, and the budget of each."""
    for spec in space.kinds:
        sets = _inside(spec, ranks, ties, seed) if is_inside(spec) else _stream(ranks, ties, seed)
        yield from ((space.budget_of(spec), each) for each in sets)
    inside = [spec for spec in space.kinds if is_inside(spec)]
    outside = [spec for spec in space.kinds if not is_inside(spec)]
    budget = space.budget
    for in_attention, in_mlps in permutations(inside, 2):
        yield from ((budget, each) for each in _paired(in_attention, in_mlps, budget, len(ranks)))
    for within, beside in product(inside, outside):
        yield from ((budget, each) for each in _mixed(within, beside, budget, ranks, ties, seed))


def _stream(ranks: np.ndarray, ties: np.ndarray, seed: int) -> Iterator[_Set]:
    """Sets of edges for a kind on the stream."""
    for name, edges, weights in candidate_edge_sets(ranks, ties, seed):
        yield _Set(name, edges, weights, None)


def _inside(spec: AdapterSpec, ranks: np.ndarray, ties: np.ndarray, seed: int) -> Iterator[_Set]:
    """Sets of sub-layers for each variant of a kind inside them."""
    for variant in variants(spec):
        for name, edges, weights in sublayer_sets(_spanned(variant, len(ranks)), ranks, ties, seed):
            specs = tuple(_spec(variant, edge) for edge in edges)
            yield _Set(f"{spec.kind}:{variant.name}:{name}", edges, weights, specs)


def _paired(
    in_attention: AdapterSpec, in_mlps: AdapterSpec, budget: ParameterBudget, n_nodes: int
) -> Iterator[_Set]:
    """One kind in attention, another in MLPs, each with half of the budget for ranks."""
    for first in variants(in_attention):
        for second in variants(in_mlps):
            if first.attention is None or first.mlp or second.mlp is None or second.attention:
                continue
            both = Variant(f"{first.name}+{second.name}", first.attention, second.mlp)
            every = _spanned(both, n_nodes)
            for name, edges in ((ALL, every), ("early-half", every[: len(every) // 2])):
                specs = tuple(_spec(both, edge) for edge in edges)
                weights = tuple(
                    1.0 / max(1, budget.cost_per_rank(spec, edge))
                    for edge, spec in zip(edges, specs, strict=True)
                )
                kinds = f"{in_attention.kind}+{in_mlps.kind}"
                yield _Set(f"{kinds}:{both.name}:{name}", edges, weights, specs)


def _mixed(
    within: AdapterSpec,
    beside: AdapterSpec,
    budget: ParameterBudget,
    ranks: np.ndarray,
    ties: np.ndarray,
    seed: int,
) -> Iterator[_Set]:
    """Half of the budget inside sub-layers, half on the stream where a few edges do well."""
    n_nodes = len(ranks)
    fans_and_others = (*early_fans(n_nodes), *near_every_block(n_nodes))
    companions = {
        short: [edge for edge in proposal.edges if edge not in set(every_block(n_nodes))]
        for short in _COMPANIONS
        for proposal in fans_and_others
        if proposal.name.endswith(short)
    }
    mlps = list(every_block(n_nodes, "mlp"))
    for variant in variants(within)[:3]:
        for name, edges, _ in sublayer_sets(_spanned(variant, n_nodes), ranks, ties, seed):
            if name not in _MIXED_SETS:
                continue
            for short, others in {**companions, "mlps": mlps}.items():
                if not others or set(others) & set(edges):
                    continue
                specs = (*(_spec(variant, edge) for edge in edges), *[beside] * len(others))
                both = (*edges, *others)
                halves = (*[len(edges)] * len(edges), *[len(others)] * len(others))
                weights = tuple(
                    1.0 / (count * max(1, budget.cost_per_rank(spec, edge)))
                    for edge, spec, count in zip(both, specs, halves, strict=True)
                )
                yield _Set(f"{within.kind}:{variant.name}:{name}+{short}", both, weights, specs)


def _spanned(variant: Variant, n_nodes: int) -> tuple[Edge, ...]:
    """The parallel edges that a variant puts adapters on."""
    return tuple(edge for edge in every_block(n_nodes) if variant.at(sublayer_of(edge)) is not None)


def _spec(variant: Variant, edge: Edge) -> AdapterSpec:
    spec = variant.at(sublayer_of(edge))
    assert spec is not None, f"the variant {variant.name} has nothing for edge {edge}"
    return spec
