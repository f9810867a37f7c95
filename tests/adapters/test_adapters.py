"""One body of tests over every registered adapter kind."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoplace.adapters import (
    Linear,
    ParameterBudget,
    adapter_config,
    check_adapters,
    count_parameters,
    create_adapter,
    edge_parameters,
    list_adapters,
    register_adapter,
)
from autoplace.placement import AdapterSpec, Edge, Placement, PlacementError
from autoplace.placement.generators import every_block, last_k

DIM = 12


@pytest.fixture(params=list_adapters())
def spec(request):
    return AdapterSpec.of(request.param, r=3)


def test_fresh_adapter_is_silent(spec):
    out = create_adapter(spec, DIM)(torch.randn(2, 5, DIM))
    assert out.shape == (2, 5, DIM)
    assert not out.any()


def test_one_step_gives_the_adapter_a_voice(spec):
    adapter, hidden = create_adapter(spec, DIM), torch.randn(2, 5, DIM)
    optimiser = torch.optim.SGD(adapter.parameters(), lr=1.0)
    (adapter(hidden) * torch.randn(2, 5, DIM)).sum().backward()
    optimiser.step()
    assert adapter(hidden).abs().max() > 0


def test_several_together_are_each_alone(spec):
    adapters = [create_adapter(spec, DIM) for _ in range(4)]
    for adapter in adapters:
        for parameter in adapter.parameters():
            torch.nn.init.normal_(parameter)
    hidden = torch.randn(4, 2, 5, DIM)
    names = dict(adapters[0].named_parameters())
    stacked = {n: torch.stack([dict(a.named_parameters())[n] for a in adapters]) for n in names}
    out = adapters[0].together(stacked, hidden)
    for adapter, own, found in zip(adapters, hidden, out, strict=True):
        torch.testing.assert_close(found, adapter(own))


def test_parameters_are_counted_right_without_building(spec):
    adapter = create_adapter(spec, DIM)
    assert sum(p.numel() for p in adapter.parameters()) == edge_parameters(spec, DIM)


def test_every_size_of_placement_stays_within_one_budget(spec):
    edges = every_block(25)
    budget = ParameterBudget(spec.kind, 96, 6 * edge_parameters(AdapterSpec.of(spec.kind, r=8), 96))
    for k in range(1, 25):
        placement = budget.fit(last_k(25, k))
        used = count_parameters(placement, 96)
        assert used <= budget.parameters
        one_more = AdapterSpec.of(spec.kind, r=placement.items[0][1].options[0][1] + 1)
        assert k * edge_parameters(one_more, 96) > budget.parameters
    assert len(budget.fit(edges)) == len(edges)
    assert ParameterBudget(spec.kind, 96, 23).fit(edges) is None


def one_rank_more(kind, rank):
    """What another rank of an edge costs."""
    lower, higher = (edge_parameters(AdapterSpec.of(kind, r=r), DIM) for r in (rank, rank + 1))
    return higher - lower


@given(data=st.data())
def test_ranks_by_weight_use_the_budget_and_order_as_the_weights_do(data):
    kind = data.draw(st.sampled_from(list_adapters()))
    count = data.draw(st.integers(1, 30))
    weights = data.draw(st.lists(st.floats(0.01, 10), min_size=count, max_size=count))
    edges = every_block(31)[:count]
    budget = ParameterBudget(kind, DIM, data.draw(st.integers(0, 12_000)))
    placement = budget.fit(edges, weights)
    assert (placement is None) == (budget.parameters < count * budget.smallest)
    if placement is None:
        return
    ranks = [adapter_config(spec).r for _, spec in placement]
    assert all(1 <= rank <= DIM for rank in ranks)
    used = count_parameters(placement, DIM)
    assert used <= budget.parameters
    if min(ranks) < DIM:
        assert budget.parameters < used + one_rank_more(kind, min(ranks))
    for weight, rank in zip(weights, ranks, strict=True):
        for other, another in zip(weights, ranks, strict=True):
            assert weight <= other or rank >= another
    assert Placement.parse(str(placement)) == placement


@pytest.mark.parametrize("order", [1, -1])
def test_ranks_follow_weights_in_proportion_and_leftovers_go_to_early_targets(order):
    edges = every_block(5)[::order]
    budget = ParameterBudget("linear", 96, 10 * edge_parameters(AdapterSpec.of("linear", r=1), 96))
    equal = budget.fit(edges, [1.0] * 4)
    assert str(equal) == "0>1+1>2@linear:r=3+2>3+3>4@linear:r=2"
    falling = budget.fit(edges, [4.0, 3.0, 2.0, 1.0][::order])
    assert [adapter_config(spec).r for _, spec in falling] == [4, 3, 2, 1]


def test_the_smallest_budget_holds_one_edge_of_rank_one_and_nothing_more(spec):
    smallest = ParameterBudget(spec.kind, 96, 0).smallest
    assert smallest == edge_parameters(AdapterSpec.of(spec.kind, r=1), 96)
    assert str(ParameterBudget(spec.kind, 96, smallest).fit([Edge(1, 2)])).endswith(":r=1")
    assert ParameterBudget(spec.kind, 96, smallest - 1).fit([Edge(1, 2)]) is None


def test_ranks_stop_at_the_width_of_the_stream(spec):
    placement = ParameterBudget(spec.kind, DIM, 10**6).fit([Edge(1, 2)])
    assert placement.items[0][1] == AdapterSpec.of(spec.kind, r=DIM)


@pytest.mark.parametrize("ask", [lambda b: b.smallest, lambda b: b.fit([Edge(0, 1)])])
def test_a_budget_of_an_unknown_kind_is_refused(ask):
    with pytest.raises(PlacementError, match="did you mean 'bottleneck'"):
        ask(ParameterBudget("bottlenek", 96, 1000))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0>1@bottlenek:r=8", "did you mean 'bottleneck'"),
        ("0>1@bottleneck:rank=8", "its options: r"),
        ("0>1@bottleneck:r=0", "at least 1"),
        ("0>1@bottleneck:r=x", "whole number"),
    ],
)
def test_an_adapter_that_does_not_exist_is_refused_with_a_remedy(text, says):
    with pytest.raises(PlacementError, match=says):
        check_adapters(Placement.parse(text))


def test_kinds_are_listed_by_wildcard():
    assert list_adapters("bottle*") == ["bottleneck"]


def test_a_registered_kind_cannot_be_overwritten(spec):
    before = type(create_adapter(spec, DIM))
    with pytest.raises(ValueError, match=f"'{spec.kind}' is already registered"):
        register_adapter(spec.kind)(Linear)
    assert type(create_adapter(spec, DIM)) is before
