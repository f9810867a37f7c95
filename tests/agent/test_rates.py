"""The rate race: grids grow towards the best rate, and what diverges or collapses is out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoplace.agent.steps._rate_grid import MOST, START, RateGrid, best_rate, extension
from autoplace.agent.steps._rates import references
from autoplace.agent.steps._space import search_space
from autoplace.agent.steps._whole_rates import (
    LEAST_WHOLE,
    MOST_MIDDLE,
    WholeGrid,
    best_whole_rate,
    first_whole_rates,
    next_whole_rates,
)
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
    assert min(losses) == pytest.approx(min(START) / 10 ** ((MOST - len(START)) / 2), rel=0.01)


def test_where_training_never_helps_the_search_ends_too():
    losses, rate = search(lambda rate: 1 + rate)
    assert len(losses) == MOST
    assert rate == min(losses)


def test_a_reference_that_diverges_rules_its_rate_out_for_all():
    assert best_rate({0.01: [0.5, 0.5], 0.032: [0.1, math.inf]}) == 0.01


def whole_search(found, at):
    """The search by whole trials on curves of metric and loss; the rates tried and the choice."""
    scores, rates = {}, first_whole_rates(found)
    while rates:
        scores |= {rate: at(rate) for rate in rates}
        rates = next_whole_rates(scores, scores)
    return scores, best_whole_rate(scores)


@given(st.floats(-3.5, -0.5), st.floats(-0.45, 0.45))
def test_whole_trials_find_the_best_rate_also_where_short_ones_were_far_from_it(exponent, wrong):
    def at(rate):
        distance = abs(math.log10(rate) - exponent)
        return 1 - distance, distance

    scores, rate = whole_search(10 ** (exponent + wrong), at)
    assert LEAST_WHOLE <= len(scores) <= MOST_MIDDLE + 2
    assert abs(math.log10(rate) - exponent) < 0.0625 + 0.01  # half a fine step, and the rounding


@pytest.mark.parametrize("found", [0.006, 0.01, 0.02, 0.03])
def test_whole_trials_stay_below_the_rate_where_training_collapses(found):
    _, rate = whole_search(found, lambda rate: (0.1, 9.0) if rate > 0.025 else (rate, -rate))
    assert rate == 0.024


def test_the_metric_counts_where_a_training_has_a_better_loss_and_is_less_accurate():
    scores = {0.018: (0.42, 1.71), 0.024: (0.445, 1.58), 0.032: (0.315, 1.57), 0.01: (0.36, 1.9)}
    assert best_whole_rate(scores) == 0.024


def test_where_all_whole_trials_fail_lower_rates_are_tried_and_then_it_ends():
    tried, rates = [], first_whole_rates(0.01)
    while rates:
        tried += rates
        rates = next_whole_rates(tried, {})
    assert tried == [0.0056, 0.01, 0.018, 0.0032, 0.0018]


def test_short_trials_train_every_reference_and_whole_ones_the_first():
    texts = ["0>1", "2>5"]
    grid = RateGrid.of("kind", [Placement.parse(text) for text in texts], seed=7, epochs=2)
    whole = WholeGrid.around(0.01, grid, "accuracy").trials
    assert [(str(t.placement.edges[0]), t.learning_rate, t.epochs) for t in grid.trials] == [
        (text, rate, 2) for rate in START for text in texts
    ]
    assert [(str(t.placement.edges[0]), t.learning_rate, t.epochs) for t in whole] == [
        ("0>1", rate, None) for rate in (0.0056, 0.01, 0.018)
    ]
    assert {trial.seed for trial in (*grid.trials, *whole)} == {7}


@pytest.mark.parametrize("backbone", ["starter", "formula-vit6", "fashion-vit8"])
def test_references_are_every_block_and_an_early_placement_of_two_edges(backbone):
    chain = create_chain(backbone)
    space = search_space(chain, PlacementSettings())
    every_block, early = references(space, space.kinds[0], chain.n_nodes)
    assert every_block == space.every_block
    assert len(early) == 2
    assert all(edge.target <= chain.n_nodes / 2 for edge in early.edges)
