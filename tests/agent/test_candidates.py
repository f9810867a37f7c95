"""Candidates are distinct, share one parameter budget and come from every generator."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoplace.adapters import (
    ParameterBudget,
    adapter_config,
    count_parameters,
    edge_parameters,
    list_adapters,
)
from autoplace.agent import parameter_budget
from autoplace.agent.steps._propose import propose
from autoplace.agent.steps._space import every_block_baseline, search_space
from autoplace.backbones import create_chain
from autoplace.errors import UserError
from autoplace.placement import AdapterSpec, Edge, EdgeKind
from autoplace.placement.generators import count_candidates, early_fans, near_every_block
from autoplace.settings import PlacementSettings

DIM, N_NODES = 96, 25
depths = st.integers(1, 40).map(lambda blocks: 2 * blocks + 1)


def propose_within(tables, settings, seed=0):
    return propose(tables, parameter_budget(settings, N_NODES, DIM), seed)


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
    budget = parameter_budget(settings, N_NODES, DIM).parameters
    found = [candidate.placement for candidate in propose_within(tables, settings)]
    assert len(set(found)) == len({str(placement) for placement in found}) == len(found)
    for placement in found:
        used = count_parameters(placement, DIM)
        one_rank_more = len(placement) * edge_parameters(AdapterSpec.of(settings.adapter, r=1), DIM)
        assert used <= budget < used + one_rank_more


def test_every_single_edge_and_every_generator_is_among_the_candidates(tables):
    found = propose_within(tables, PlacementSettings())
    singles = {c.placement.edges[0] for c in found if len(c.placement) == 1}
    assert singles == {Edge(i, j) for i in range(N_NODES) for j in range(N_NODES)}
    assert {edge.kind for c in found for edge in c.placement.edges} == set(EdgeKind)
    names = {candidate.chosen_by for candidate in found}
    assert {name.partition(":")[0] for name in names} == {
        "every-block", "near-every-block", "early-fan", "gga", "first-k", "last-k", "random",
        "single",
    }  # fmt: skip
    # Several numbers of edges, several gammas: not one setting of GGA.
    assert {"gga:n=2,gamma=0", "gga:n=6,gamma=0.6", "gga:n=24,gamma=0.9"} <= names


def test_the_same_seed_proposes_the_same_and_another_other_random_sets(tables):
    first, again, other = (propose_within(tables, PlacementSettings(), seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_budget_below_one_edge_of_rank_one_is_refused_with_the_least_that_works(tables):
    with pytest.raises(UserError, match=r"no candidate fits 192 parameters.*takes 193"):
        propose_within(tables, PlacementSettings(max_params=192))
    assert propose_within(tables, PlacementSettings(max_params=193))


def test_every_block_falls_back_to_mlps_and_then_to_nothing_as_the_budget_shrinks():
    by_budget = {
        budget: every_block_baseline(N_NODES, ParameterBudget("bottleneck", DIM, budget))
        for budget in (24 * 193, 12 * 193, 12 * 193 - 1)
    }
    assert [None if p is None else len(p) for p in by_budget.values()] == [24, 12, None]


@pytest.mark.parametrize("n_nodes", [9, 13, 25, 49, 81])
def test_the_default_budget_gives_every_block_rank_two_at_any_depth(n_nodes):
    budget = parameter_budget(PlacementSettings(), n_nodes, DIM)
    placement = every_block_baseline(n_nodes, budget)
    assert len(placement) == n_nodes - 1
    assert {adapter_config(spec).r for _, spec in placement} == {2}


def test_the_default_budget_of_a_network_of_24_sublayers_is_that_of_six_edges_of_rank_eight():
    six = parameter_budget(PlacementSettings(edges=6, rank=8), 25, DIM)
    assert parameter_budget(PlacementSettings(), 25, DIM) == six


def test_more_candidates_than_could_be_proposed_are_refused_before_a_probe(tables):
    chain = create_chain("starter")
    with pytest.raises(UserError, match=r"--top-k is 100000.*at most \d+ candidates"):
        search_space(chain, PlacementSettings(), top_k=100_000)
    most = count_candidates(N_NODES)
    assert search_space(chain, PlacementSettings(), top_k=most).budget.dim == chain.dim
    assert len(propose_within(tables, PlacementSettings())) <= most


@given(depths, st.sampled_from(list_adapters()), st.integers(100, 40_000))
def test_what_is_near_every_block_and_early_stays_within_any_budget(n_nodes, kind, parameters):
    budget = ParameterBudget(kind, DIM, parameters)
    for _, edges, weights in near_every_block(n_nodes) + early_fans(n_nodes):
        placement = budget.fit(edges, weights)
        if placement is None:
            assert len(edges) * budget.smallest > parameters
        else:
            assert set(placement.edges) == set(edges)
            assert count_parameters(placement, DIM) <= parameters
