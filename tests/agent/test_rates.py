"""The rate race: the grid grows towards the best rate, divergence is out, and --lr overrides."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoplace.agent.steps._rate_grid import (
    MOST,
    START,
    STEP,
    RateGrid,
    best_rate,
    extension,
)
from autoplace.agent.steps._rates import references
from autoplace.agent.steps._space import search_space
from autoplace.backbones import create_chain
from autoplace.placement import Placement
from autoplace.settings import PlacementSettings


def search(loss_at):
    """The whole search on a curve of losses; the rates tried and the choice."""
    losses, rates = {}, START
    while rates:
        losses |= {rate: [loss_at(rate)] for rate in rates}
        rates = extension(losses)
    return losses, best_rate(losses)


@given(st.floats(-3.5, -0.5))
def test_the_search_finds_the_lowest_point_of_a_smooth_curve_wherever_it_is(exponent):
    losses, rate = search(lambda rate: (math.log10(rate) - exponent) ** 2)
    assert abs(math.log10(rate) - exponent) < 0.1
    assert min(losses) <= rate <= max(losses)


def test_a_rate_at_which_training_diverges_is_never_chosen():
    losses, rate = search(lambda rate: math.inf if rate > 5e-4 else -rate)
    assert max(rate for rate, (loss,) in losses.items() if math.isfinite(loss)) == rate == 3.2e-4


def test_where_everything_diverges_the_search_ends_at_the_lowest_rate():
    losses, _ = search(lambda rate: math.inf)
    assert len(losses) == MOST
    assert max(losses) == max(START)
    assert min(losses) == pytest.approx(min(START) / STEP ** (MOST - len(START)), rel=0.01)


def test_where_training_never_helps_the_search_ends_too():
    losses, rate = search(lambda rate: 1 + rate)
    assert len(losses) == MOST
    assert rate == min(losses)


def test_a_reference_that_diverges_rules_its_rate_out_for_all():
    assert best_rate({0.01: [0.5, 0.5], 0.032: [0.1, math.inf]}) == 0.01


@pytest.mark.parametrize("texts", [["head-only"], ["0>1"], ["0>1", "2>5"], ["0>1", "2>5", "5>2"]])
def test_every_rate_is_judged_by_two_different_trials_at_least(texts):
    grid = RateGrid.of("kind", [Placement.parse(text) for text in texts], seed=7, epochs=2)
    for rate in START:
        at_rate = [trial for trial in grid.trials if trial.learning_rate == rate]
        assert len(set(at_rate)) == len(at_rate) == max(2, len(texts))
        assert {trial.seed for trial in at_rate} == ({7, 8} if len(texts) == 1 else {7})


@pytest.mark.parametrize("backbone", ["starter", "formula-vit6", "fashion-vit8"])
def test_references_are_every_block_and_an_early_placement_of_two_edges(backbone):
    chain = create_chain(backbone)
    space = search_space(chain, PlacementSettings())
    every_block, early = references(space, space.kinds[0], chain.n_nodes)
    assert every_block == space.every_block
    assert len(early) == 2
    assert all(edge.target <= chain.n_nodes / 2 for edge in early.edges)
