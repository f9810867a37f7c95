"""Candidates are distinct, share one parameter budget and come from every generator."""

from __future__ import annotations

import pytest

from autoplace.adapters import count_parameters, edge_parameters
from autoplace.agent._candidates import every_block_baseline, parameter_budget, propose
from autoplace.errors import UserError
from autoplace.placement import AdapterSpec, Edge, EdgeKind
from autoplace.settings import PlacementSettings

DIM, N_NODES = 96, 25


@pytest.mark.parametrize(
    "settings",
    [
        PlacementSettings(),
        PlacementSettings(edges=1, rank=1),
        PlacementSettings(max_params=3000, adapter="linear"),
    ],
    ids=["default", "tight", "linear"],
)
def test_all_candidates_are_distinct_and_use_the_budget_as_far_as_ranks_allow(tables, settings):
    budget = parameter_budget(settings, DIM)
    found = [candidate.placement for candidate in propose(tables, settings, DIM, seed=0)]
    assert len(set(found)) == len({str(placement) for placement in found}) == len(found)
    for placement in found:
        used = count_parameters(placement, DIM)
        one_rank_more = len(placement) * edge_parameters(AdapterSpec.of(settings.adapter, r=1), DIM)
        assert used <= budget < used + one_rank_more


def test_every_single_edge_and_every_generator_is_among_the_candidates(tables):
    found = propose(tables, PlacementSettings(), DIM, seed=0)
    singles = {c.placement.edges[0] for c in found if len(c.placement) == 1}
    assert singles == {Edge(i, j) for i in range(N_NODES) for j in range(N_NODES)}
    assert {edge.kind for c in found for edge in c.placement.edges} == set(EdgeKind)
    names = {candidate.chosen_by for candidate in found}
    assert {name.partition(":")[0] for name in names} == {
        "every-block", "gga", "first-k", "last-k", "random", "single",
    }  # fmt: skip
    # Several numbers of edges, several gammas: not one setting of GGA.
    assert {"gga:n=2,gamma=0", "gga:n=6,gamma=0.6", "gga:n=24,gamma=0.9"} <= names


def test_the_same_seed_proposes_the_same_and_another_other_random_sets(tables):
    first, again, other = (propose(tables, PlacementSettings(), DIM, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_budget_below_one_edge_of_rank_one_is_refused_with_the_least_that_works(tables):
    with pytest.raises(UserError, match=r"no candidate fits 192 parameters.*takes 193"):
        propose(tables, PlacementSettings(max_params=192), DIM, seed=0)
    assert propose(tables, PlacementSettings(max_params=193), DIM, seed=0)


def test_every_block_falls_back_to_mlps_and_then_to_nothing_as_the_budget_shrinks():
    by_budget = {
        budget: every_block_baseline(N_NODES, PlacementSettings(max_params=budget), DIM)
        for budget in (24 * 193, 12 * 193, 12 * 193 - 1)
    }
    assert [None if p is None else len(p) for p in by_budget.values()] == [24, 12, None]
