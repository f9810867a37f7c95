"""The registry of adapter kinds, and the parameter budget."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoplace.adapters import (
    Linear,
    ParameterBudget,
    adapter_class,
    adapter_rank,
    check_adapters,
    count_parameters,
    edge_parameters,
    list_adapters,
    register_adapter,
)
from autoplace.backbones import BackboneShape
from autoplace.placement import AdapterSpec, Edge, Placement, PlacementError
from autoplace.placement.generators import every_block, last_k

DIM = 12
SMALL, WIDE = BackboneShape.plain(DIM), BackboneShape.plain(96)


def edge_cost(kind, rank, shape=SMALL, edge=Edge(0, 1)):  # noqa: B008 (frozen)
    return edge_parameters(AdapterSpec.of(kind, r=rank), edge, shape)


def grows_with_its_rank(kind):
    """Whether an adapter of the kind has more parameters at a higher rank, on any edge."""
    if adapter_rank(AdapterSpec(kind)) is None:
        return False
    edges = Edge(0, 1), Edge(1, 2)
    return all(edge_cost(kind, 1, edge=edge) < edge_cost(kind, 2, edge=edge) for edge in edges)


RANKED = list(filter(grows_with_its_rank, list_adapters()))


@pytest.fixture(params=RANKED)
def spec(request):
    return AdapterSpec.of(request.param, r=3)


def test_every_size_of_placement_stays_within_one_budget(spec):
    edges = every_block(25)
    budget = ParameterBudget(AdapterSpec(spec.kind), WIDE, 18_528)
    for k in range(1, 25):
        placement = budget.fit(last_k(25, k))
        assert count_parameters(placement, WIDE) <= budget.parameters
        ranks = {adapter_rank(each) for _, each in placement}
        assert len(ranks) == 1
        more = AdapterSpec.of(spec.kind, r=ranks.pop() + 1)
        needed = count_parameters(Placement.of(placement.edges, more), WIDE)
        assert needed > budget.parameters or adapter_rank(more) > WIDE.dim
    assert len(budget.fit(edges)) == len(edges)
    assert ParameterBudget(spec, WIDE, 23).fit(edges) is None


@given(data=st.data())
def test_ranks_by_weight_use_the_budget_and_order_as_the_weights_do(data):
    kind = data.draw(st.sampled_from([kind for kind in RANKED if not adapter_class(kind).shared]))
    count = data.draw(st.integers(1, 30))
    weights = data.draw(st.lists(st.floats(0.01, 10), min_size=count, max_size=count))
    edges = every_block(61)[::2][:count]  # before attention, where each rank costs the same
    budget = ParameterBudget(AdapterSpec(kind), SMALL, data.draw(st.integers(0, 12_000)))
    placement = budget.fit(edges, weights)
    assert (placement is None) == (budget.parameters < count * edge_cost(kind, 1))
    if placement is None:
        return
    ranks = [adapter_rank(spec) for _, spec in placement]
    assert all(1 <= rank <= DIM for rank in ranks)
    used = count_parameters(placement, SMALL)
    assert used <= budget.parameters
    if min(ranks) < DIM:
        one_more = edge_cost(kind, min(ranks) + 1) - edge_cost(kind, min(ranks))
        assert budget.parameters < used + one_more
    for weight, rank in zip(weights, ranks, strict=True):
        for other, another in zip(weights, ranks, strict=True):
            assert weight <= other or rank >= another
    assert Placement.parse(str(placement)) == placement


@pytest.mark.parametrize("order", [1, -1])
def test_ranks_follow_weights_in_proportion_and_leftovers_go_to_early_targets(order):
    edges = every_block(5)[::order]
    budget = ParameterBudget(AdapterSpec("linear"), WIDE, 10 * edge_cost("linear", 1, WIDE))
    equal = budget.fit(edges, [1.0] * 4)
    assert str(equal) == "0>1+1>2@linear:r=3+2>3+3>4@linear:r=2"
    falling = budget.fit(edges, [4.0, 3.0, 2.0, 1.0][::order])
    assert [adapter_rank(spec) for _, spec in falling] == [4, 3, 2, 1]


def test_the_smallest_budget_holds_one_edge_of_rank_one_and_nothing_more(spec):
    kind = AdapterSpec(spec.kind)
    smallest = ParameterBudget(kind, WIDE, 0).smallest
    costs = {edge: edge_cost(spec.kind, 1, WIDE, edge) for edge in (Edge(0, 1), Edge(1, 2))}
    cheapest = min(costs, key=costs.get)
    assert smallest == costs[cheapest]
    placement = ParameterBudget(kind, WIDE, smallest).fit([cheapest])
    assert [adapter_rank(spec) for _, spec in placement] == [1]
    assert ParameterBudget(kind, WIDE, smallest - 1).fit([cheapest]) is None


def test_ranks_stop_at_the_width_of_the_stream(spec):
    placement = ParameterBudget(AdapterSpec(spec.kind), SMALL, 10**6).fit([Edge(1, 2)])
    assert placement.items[0][1] == AdapterSpec.of(spec.kind, r=DIM)


@pytest.mark.parametrize("ask", [lambda b: b.smallest, lambda b: b.fit([Edge(0, 1)])])
def test_a_budget_of_an_unknown_kind_is_refused(ask):
    with pytest.raises(PlacementError, match="did you mean 'bottleneck'"):
        ask(ParameterBudget(AdapterSpec("bottlenek"), WIDE, 1000))


def test_a_budget_has_no_placement_where_its_kind_cannot_be():
    budget = ParameterBudget(AdapterSpec("lora"), WIDE, 10_000)
    assert budget.fit([Edge(0, 1)]) is not None
    assert budget.fit([Edge(0, 1), Edge(0, 5)]) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0>1@bottlenek:r=8", "did you mean 'bottleneck'"),
        ("0>1@bottleneck:rank=8", "its options: .*r"),
        ("0>1@lora:map=qv", "did you mean 'maps'"),
        ("0>1@lora:maps=qq", "each once"),
        ("0>1@lora:maps=qu", "attention"),
        ("0>1@lora:alpha=0", "above 0"),
        ("0>1@bottleneck:r=0", "at least 1"),
        ("0>1@bottleneck:r=x", "whole number"),
    ],
)
def test_an_adapter_that_does_not_exist_is_refused_with_a_remedy(text, says):
    with pytest.raises(PlacementError, match=says):
        check_adapters(Placement.parse(text))


def test_kinds_are_listed_by_wildcard():
    assert list_adapters("bottle*") == ["bottleneck"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0>5@lora:r=2", "long-range, which this adapter kind cannot serve"),
        ("5>5@lora:r=2", "serves edges that are parallel"),
        ("1>2@lora:maps=qv", "spans an mlp sub-layer, which has no maps=qv; give letters of ud"),
        ("0>1@lora:maps=u", "give letters of qkvo"),
    ],
)
def test_a_kind_on_an_edge_it_cannot_serve_is_refused(text, says):
    with pytest.raises(PlacementError, match=says):
        check_adapters(Placement.parse(text), WIDE)


def test_lora_is_refused_where_the_mlp_has_no_such_map():
    without = replace(WIDE, fc1=None)
    with pytest.raises(PlacementError, match="no linear map fc1"):
        check_adapters(Placement.parse("1>2@lora:r=2"), without)


def test_a_registered_kind_cannot_be_overwritten(spec):
    before = adapter_class(spec.kind)
    with pytest.raises(ValueError, match=f"'{spec.kind}' is already registered"):
        register_adapter(spec.kind)(Linear)
    assert adapter_class(spec.kind) is before
