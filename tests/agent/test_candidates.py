"""Candidates are distinct, share one parameter budget and come from every generator."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoplace.adapters import (
    ParameterBudget,
    adapter_rank,
    count_parameters,
    edge_parameters,
    list_adapters,
)
from autoplace.agent import parameter_budget
from autoplace.agent.steps._entrants import baselines
from autoplace.agent.steps._kinds import AUTO_KINDS, read_kinds
from autoplace.agent.steps._propose import check_top_k, most_candidates, propose
from autoplace.agent.steps._rates import references
from autoplace.agent.steps._select import select_field
from autoplace.agent.steps._space import every_block_baseline, search_space
from autoplace.backbones import BackboneShape, create_chain
from autoplace.errors import UserError
from autoplace.placement import AdapterSpec, Edge, EdgeKind, Placement, PlacementError
from autoplace.placement.generators import early_fans, near_every_block
from autoplace.settings import PickSettings, PlacementSettings
from predictors.vocabulary import Role

N_NODES = 25
SHAPE = BackboneShape.plain(96)
BOTTLENECKS = PlacementSettings(adapter="bottleneck")
depths = st.integers(1, 40).map(lambda blocks: 2 * blocks + 1)


def propose_within(tables, settings, seed=0):
    return propose(tables, search_space(create_chain("starter"), settings), seed)


def one_rank_more(spec):
    """The spec with one rank more than it has, if it has one and that is not the highest."""
    rank = adapter_rank(spec)
    if rank is None or rank == SHAPE.dim:
        return spec
    return AdapterSpec.of(spec.kind, **dict(spec.options) | {"r": rank + 1})


@pytest.mark.parametrize(
    "settings",
    [
        BOTTLENECKS,
        PlacementSettings(edges=1, rank=1, adapter="bottleneck"),
        PlacementSettings(max_params=3000, adapter="linear"),
        PlacementSettings(adapter="lora"),
        PlacementSettings(),
    ],
    ids=["bottleneck", "tight", "linear", "lora", "auto"],
)
def test_all_candidates_are_distinct_and_use_the_budget_as_far_as_ranks_allow(tables, settings):
    budget = parameter_budget(settings, SHAPE).parameters
    found = [candidate.placement for candidate in propose_within(tables, settings)]
    assert len(set(found)) == len({str(placement) for placement in found}) == len(found)
    for placement in found:
        used = count_parameters(placement, SHAPE)
        assert used <= budget
        more = [(edge, one_rank_more(spec)) for edge, spec in placement]
        if more != list(placement):
            assert budget < count_parameters(Placement(tuple(more)), SHAPE)


def test_auto_proposes_each_kind_alone_and_every_two_together(tables):
    found = propose_within(tables, PlacementSettings())
    by_kinds = Counter(candidate.kinds for candidate in found)
    pairs = {"+".join(sorted(pair)) for pair in combinations(AUTO_KINDS, 2)}
    assert set(by_kinds) == {*AUTO_KINDS, *pairs}
    assert min(by_kinds[kind] for kind in AUTO_KINDS) >= 12
    for candidate in found:
        if candidate.kinds == "bottleneck+lora":
            shares = Counter()
            for edge, spec in candidate.placement:
                shares[spec.kind] += edge_parameters(spec, edge, SHAPE)
            assert max(shares.values()) < 3 * min(shares.values()), str(candidate)


def test_a_default_that_is_named_is_the_same_search():
    assert read_kinds("lora:maps=auto,alpha=4") == read_kinds("lora:alpha=4")
    assert read_kinds("bottleneck:scale=1.0") == read_kinds("bottleneck")
    with pytest.raises(PlacementError, match="gives a rank"):
        read_kinds("bottleneck:r=8")
    assert read_kinds("lora:maps=auto") == read_kinds("lora") != read_kinds("lora:maps=u")


@pytest.mark.parametrize(
    ("adapter", "is_kept"), [("auto", True), ("lora", True), ("ssf", False), ("bottleneck", False)]
)
def test_minimal_baselines_leave_lora_out_only_where_it_is_not_searched(adapter, is_kept):
    settings = PickSettings(adapter=adapter, baselines="minimal")
    space = search_space(create_chain("starter"), settings)
    assert space.lora is not None
    for kept, each in ((is_kept, settings), (True, replace(settings, baselines="standard"))):
        compared = {trial.role: trial.placement for trial in baselines(space, each)}
        assert compared.get(Role.LORA) == (space.lora if kept else None)
        assert (compared[Role.HEAD_ONLY], compared.get(Role.EVERY_BLOCK)) == (
            Placement(), space.every_block,
        )  # fmt: skip


def test_lora_varies_maps_and_blocks_and_keeps_the_options_that_are_given(tables):
    found = propose_within(tables, PlacementSettings(adapter="lora"))
    specs = {spec for candidate in found for _, spec in candidate.placement}
    assert {dict(spec.options)["maps"] for spec in specs} == {"qkv", "qv", "qkvo", "u", "ud"}
    sets = {tuple(edge.target for edge in candidate.placement.edges) for candidate in found}
    assert len(sets) > 50
    fixed = propose_within(tables, PlacementSettings(adapter="lora:maps=qv,alpha=4"))
    options = [dict(spec.options) for candidate in fixed for _, spec in candidate.placement]
    assert {(each["maps"], each["alpha"]) for each in options} == {("qv", 4)}


@pytest.mark.parametrize(
    ("adapter", "says"),
    [
        ("bottlenek", "did you mean 'bottleneck'"),
        ("lora:map=qv", "did you mean 'maps'"),
        ("lora:r=4", "the parameter budget sets the ranks"),
    ],
)
def test_an_adapter_that_does_not_exist_or_sets_the_rank_is_refused(adapter, says):
    with pytest.raises(UserError, match=says):
        search_space(create_chain("starter"), PlacementSettings(adapter=adapter))


def test_every_single_edge_and_every_generator_is_among_the_candidates(tables):
    found = propose_within(tables, BOTTLENECKS)
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
        propose_within(tables, replace(BOTTLENECKS, max_params=192))
    assert propose_within(tables, replace(BOTTLENECKS, max_params=193))


def test_every_block_falls_back_to_mlps_and_then_to_nothing_as_the_budget_shrinks():
    bottleneck = AdapterSpec("bottleneck")
    by_budget = {
        budget: every_block_baseline(N_NODES, ParameterBudget(bottleneck, SHAPE, budget))
        for budget in (24 * 193, 12 * 193, 12 * 193 - 1)
    }
    assert [None if p is None else len(p) for p in by_budget.values()] == [24, 12, None]


@pytest.mark.parametrize("n_nodes", [9, 13, 25, 49, 81])
def test_the_default_budget_gives_every_block_rank_two_at_any_depth(n_nodes):
    budget = parameter_budget(PlacementSettings(), BackboneShape.plain(96, n_nodes))
    placement = every_block_baseline(n_nodes, budget)
    assert len(placement) == n_nodes - 1
    assert {adapter_rank(spec) for _, spec in placement} == {2}


def test_the_default_budget_of_a_network_of_24_sublayers_is_that_of_six_edges_of_rank_eight():
    six = parameter_budget(PlacementSettings(edges=6, rank=8), SHAPE)
    assert parameter_budget(PlacementSettings(), SHAPE) == six


def test_more_candidates_than_could_be_proposed_are_refused_before_a_probe(tables):
    for adapter in ("auto", "bottleneck", "lora", "lora:maps=u", "ssf"):
        space = search_space(create_chain("starter"), PlacementSettings(adapter=adapter))
        most = most_candidates(space, N_NODES)
        found = len(propose(tables, space, seed=3))
        assert found <= most <= max(2 * found, 40), adapter
    check_top_k(most, most)
    with pytest.raises(UserError, match=f"--top-k is {most + 1}, but there are at most {most} "):
        check_top_k(most + 1, most)


@given(depths, st.sampled_from(["bottleneck", "linear"]), st.integers(100, 40_000))
def test_what_is_near_every_block_and_early_stays_within_any_budget(n_nodes, kind, parameters):
    shape = BackboneShape.plain(96, n_nodes)
    budget = ParameterBudget(AdapterSpec(kind), shape, parameters)
    for _, edges, weights in near_every_block(n_nodes) + early_fans(n_nodes):
        placement = budget.fit(edges, weights)
        if placement is None:
            assert len(edges) * budget.smallest > parameters
        else:
            assert set(placement.edges) == set(edges)
            assert count_parameters(placement, shape) <= parameters


@pytest.mark.parametrize("kind", list_adapters())
def test_every_kind_has_candidates_within_the_budget_and_references_for_its_rate(tables, kind):
    chain, settings = create_chain("starter"), PlacementSettings(adapter=kind)
    space = search_space(chain, settings)
    found = propose(tables, space, seed=0)
    assert found
    assert {candidate.kinds for candidate in found} == {kind}
    for candidate in found[::25]:
        assert count_parameters(candidate.placement, chain.shape) <= space.budget.parameters
    baselines = [each for each in (space.every_block, space.lora) if each is not None]
    field = select_field(found, np.zeros(len(found)), baselines, 24, seed=0)
    assert field or kind == "prompt"  # whose only placement may be the baseline
    assert references(space, space.kinds[0], chain.n_nodes) or field
