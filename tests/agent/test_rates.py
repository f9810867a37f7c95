"""The rate race: the grid grows towards the best rate, divergence is out, and --lr overrides."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoplace.agent.steps._rate_grid import (
    LEAST,
    MOST,
    START,
    START_FULL,
    STEP,
    RateGrid,
    best_rate,
    following,
)
from autoplace.agent.steps._rates import find_rate, references
from autoplace.agent.steps._space import search_space
from autoplace.backbones import create_chain
from autoplace.placement import Placement
from autoplace.settings import PickSettings, PlacementSettings
from autoplace.training import Epoch, Outcome, Scores, Trial
from predictors.vocabulary import Status


def search(loss_at, start=START, is_worse=lambda rate: False):
    """The whole search on a curve of losses; the rates tried and the choice."""
    losses, rates = {}, start
    while rates:
        losses |= {rate: [loss_at(rate)] for rate in rates}
        worse = {rate for rate in losses if is_worse(rate)}
        rates = following(losses, worse)
    assert LEAST <= len(losses) <= MOST + 2
    return losses, best_rate(losses, worse)


@given(st.floats(-3.5, -0.5))
def test_the_search_finds_the_lowest_point_of_a_smooth_curve_wherever_it_is(exponent):
    losses, rate = search(lambda rate: (math.log10(rate) - exponent) ** 2)
    assert abs(math.log10(rate) - exponent) < 0.1
    assert min(losses) <= rate <= max(losses)


@given(st.floats(-3.5, -0.5), st.sampled_from([START, START_FULL]))
def test_the_best_rate_has_neighbours_half_a_step_away_unless_it_is_at_an_edge(exponent, start):
    losses, _ = search(lambda rate: abs(math.log10(rate) - exponent), start)
    rates = sorted(losses)
    best = rates.index(min(losses, key=losses.get))
    if best in (0, len(rates) - 1):  # the search ended at its limit
        assert len(rates) == MOST
        return
    for lower, upper in pairwise(rates[best - 1 : best + 2]):
        assert upper / lower == pytest.approx(math.sqrt(STEP), rel=0.05)


@given(st.floats(-3.9, 1.0))
def test_a_rate_at_which_training_diverges_is_never_chosen(exponent):
    losses, rate = search(lambda rate: math.inf if rate > 10**exponent else -rate)
    assert max(rate for rate, (loss,) in losses.items() if math.isfinite(loss)) == rate
    assert rate <= 10**exponent


def test_where_everything_diverges_the_search_ends_at_the_lowest_rate():
    losses, _ = search(lambda rate: math.inf)
    assert len(losses) == MOST
    assert max(losses) == max(START)
    assert min(losses) == pytest.approx(min(START) / STEP ** (MOST - len(START)), rel=0.01)


def test_where_training_never_helps_the_search_ends_too():
    losses, rate = search(lambda rate: 1 + rate)
    assert len(losses) == MOST
    assert rate == min(losses)


@given(st.floats(-3.9, 1.0))
def test_a_rate_that_is_worse_than_head_only_is_not_chosen_though_its_loss_is_low(exponent):
    losses, rate = search(lambda rate: 2 - rate, is_worse=lambda rate: rate > 10**exponent)
    assert rate <= 10**exponent and rate in losses


@given(
    st.lists(st.floats(0, 3) | st.just(math.inf), min_size=9, max_size=9),
    st.sets(st.integers(0, 8)),
)
def test_whatever_is_worse_than_head_only_the_rate_is_near_one_that_is_not(losses, worse):
    rates = [START[0] * STEP ** (k / 2) for k in range(-4, 5)]
    chosen = best_rate(
        {rate: [loss] for rate, loss in zip(rates, losses, strict=True)}, {rates[k] for k in worse}
    )
    finite = [k for k in range(9) if math.isfinite(losses[k])] or [0]
    near = [rates[k] for k in finite if k not in worse or set(finite) <= worse] or [rates[0]]
    assert min(abs(math.log(chosen / rate, STEP)) for rate in near) <= 0.26
    assert rates[0] <= chosen <= rates[-1]


def test_where_every_rate_is_worse_than_head_only_the_lowest_is_chosen():
    losses, rate = search(lambda rate: 2 - rate, is_worse=lambda rate: True)
    assert len(losses) == MOST and rate == min(losses)


def outcome(trial, accuracy, loss):
    return Outcome(
        trial, 0, Status.DONE, epochs=[Epoch(trial, 1, loss, Scores(accuracy, 0.0, 0.0, loss))]
    )


def test_a_rate_is_worse_than_head_only_if_its_trials_are_so_in_loss_and_metric():
    head_only = outcome(Trial(Placement(), 0), accuracy=0.5, loss=1.0)
    told = {0.01: [(0.5, 1.2), (0.3, 1.2)], 0.032: [(0.9, 1.1), (0.2, 1.1)], 0.1: [(0.1, 0.9)] * 2}
    for reference in (head_only, None):
        two = [Placement.parse(f"{k}>{k + 1}@lora:r=1") for k in (0, 2)]
        grid = RateGrid.of("lora", two, 0, 2, "accuracy", reference)
        while grid.rates and set(grid.rates) <= set(told):
            values = {rate: iter(told[rate]) for rate in grid.rates}
            outcomes = [outcome(t, *next(values[t.learning_rate])) for t in grid.trials]
            grid.add(outcomes)
        assert grid.worse == ({0.01} if reference else set())


class Told:
    """Rounds in which every rate gives the scores that are told; head-only has run."""

    metric, head_only = "accuracy", outcome(Trial(Placement(), 0), accuracy=0.5, loss=1.0)

    def run(self, name, trials):
        return [
            outcome(trial, *((0.3, 1.1) if trial.learning_rate > 0.004 else (0.6, 1.5)))
            for trial in trials
        ]


def test_the_search_compares_with_head_only_and_knows_the_loss_at_rates_that_are_not_worse():
    lora = Placement.parse("0>1@lora:r=1")
    found = find_rate(Told(), "lora", [lora], PickSettings(), seed=0)
    assert found.rate < 0.004 and found.loss == 1.5


def test_the_loss_is_known_where_one_rate_diverges_and_all_others_are_worse_than_head_only():
    class Worse(Told):
        def run(self, name, trials):
            return [
                Outcome(trial, 0, Status.FAILED)
                if trial.learning_rate > 0.02
                else outcome(trial, 0.3, 1.1 + trial.learning_rate)
                for trial in trials
            ]

    lora = Placement.parse("0>1@lora:r=1")
    found = find_rate(Worse(), "lora", [lora], PickSettings(), seed=0)
    assert found.loss == pytest.approx(1.1, abs=0.01)
    assert found.rate == min(found.tried)


def test_a_reference_that_diverges_rules_its_rate_out_for_all():
    assert best_rate({0.01: [0.5, 0.5], 0.032: [0.1, math.inf]}) == 0.01


@pytest.mark.parametrize("texts", [["head-only"], ["0>1"], ["0>1", "2>5"], ["0>1", "2>5", "5>2"]])
def test_every_rate_is_judged_by_every_reference(texts):
    placements = [Placement.parse(text) for text in texts]
    grid = RateGrid.of("kind", placements, 7, 2, "accuracy", head_only=None)
    for rate in START:
        at_rate = [trial for trial in grid.trials if trial.learning_rate == rate]
        assert [trial.placement for trial in at_rate] == placements
        assert {trial.seed for trial in at_rate} == {7}


@pytest.mark.parametrize("backbone", ["starter", "formula-vit6", "fashion-vit8"])
def test_references_are_every_block_and_an_early_placement_of_two_edges(backbone):
    chain = create_chain(backbone)
    space = search_space(chain, PlacementSettings())
    every_block, early = references(space, space.kinds[0], chain.n_nodes)
    assert every_block == space.every_block
    assert len(early) == 2
    assert all(edge.target <= chain.n_nodes / 2 for edge in early.edges)
