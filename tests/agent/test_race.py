"""Rungs shrink the field to the finalists; ranks and choices follow validation."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoplace.agent import open_task
from autoplace.agent.steps._afford import Allowance, Sides, afford
from autoplace.agent.steps._choose import Contender, choose, on_images
from autoplace.agent.steps._race import keep_kinds, plan_rungs, rank
from autoplace.placement import Placement
from autoplace.settings import PickSettings, TrialSettings
from autoplace.training import Deadline, Epoch, Outcome, Scores, Trial, run_trials
from predictors.vocabulary import LOG_LOSS, Role, Status


def outcome(text, accuracy, loss, role=Role.CANDIDATE, status=Status.DONE):
    trial = Trial(Placement.parse(text), 0, role)
    scores = Scores(accuracy, accuracy, accuracy, loss)
    return Outcome(trial, 0, status, epochs=[Epoch(trial, 1, loss, scores)])


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_rungs_start_with_the_field_end_with_the_finalists_and_never_grow(field, top_k, epochs):
    rungs = plan_rungs(field, top_k, epochs)
    if field <= top_k:
        assert rungs == []
        return
    assert (rungs[0].started, rungs[-1].kept) == (field, top_k)
    assert all(rung.kept <= rung.started for rung in rungs)
    assert all(a.kept == b.started for a, b in pairwise(rungs))
    at = [rung.epoch for rung in rungs]
    assert at == sorted(set(at))
    assert at[0] >= 1 and at[-1] <= epochs


def test_a_failed_candidate_has_no_rank_and_the_loss_decides_between_equal_accuracies():
    ranked = rank(
        [
            outcome("1>2", 0.5, 0.9),
            outcome("2>3", 0.5, 0.8),
            outcome("3>4", 0.9, 0.1, status=Status.FAILED),
        ],
        "accuracy",
    )
    assert [str(o.placement.edges[0]) for o in ranked] == ["2>3", "1>2"]


def test_an_early_rung_keeps_the_best_of_each_kind_and_then_the_best_of_all():
    texts = ("0>1", "2>3", "4>5@arc+5>6", "6>7", "0>1@lora", "2>3@lora", "8>9@arc")
    ranked = [outcome(text, 0.5, loss / 10) for loss, text in enumerate(texts)]

    def kept(count):
        return [ranked.index(each) for each in keep_kinds(ranked, count)]

    assert kept(5) == [0, 1, 2, 4, 6]
    assert kept(3) == [0, 4, 6]
    assert kept(2) == [0, 4]
    assert kept(9) == list(range(7))


def contender(text, accuracies, losses, role=Role.CANDIDATE, prior=0.0, by_image=None):
    outcomes = [outcome(text, a, loss, role) for a, loss in zip(accuracies, losses, strict=True)]
    return Contender(outcomes, prior, by_image)


def test_the_best_mean_over_folds_wins_not_the_best_on_one_fold():
    lucky = contender("1>2", [0.9, 0.5], [0.5, 0.9])
    steady = contender("2>3", [0.8, 0.8], [0.6, 0.6])
    assert choose([lucky, steady], "accuracy") is steady


@pytest.mark.parametrize("order", [1, -1])
def test_ties_go_to_the_simpler_placement(order):
    same = [[0.8], [0.5]]
    several = contender("1>2+3>4", *same)
    one = contender("5>6", *same)
    every_block = contender("0>1+1>2+2>3", *same, role=Role.EVERY_BLOCK)
    head_only = contender("head-only", *same, role=Role.HEAD_ONLY)
    assert choose([several, one, every_block, head_only][::order], "accuracy") is head_only
    assert choose([several, one, every_block][::order], "accuracy") is every_block
    assert choose([several, one][::order], "accuracy") is one


@pytest.mark.parametrize("metric", ["accuracy", LOG_LOSS])
def test_a_placement_that_is_no_better_to_a_user_does_not_beat_head_only(metric):
    head_only = contender("head-only", [1.0], [0.0002], role=Role.HEAD_ONLY)
    adapted = contender("1>2", [1.0], [0.0000], prior=0.1)
    assert choose([adapted, head_only], metric) is head_only


@pytest.mark.parametrize(
    ("accuracy", "loss", "wins"),
    [(0.83, 0.9, True), (0.79, 0.5, True), (0.8, 0.595, False), (0.79, 0.9, False)],
)
def test_head_only_wins_only_if_adapters_improve_neither_metric_nor_loss(accuracy, loss, wins):
    head_only = contender("head-only", [0.8], [0.6], role=Role.HEAD_ONLY, prior=9.0)
    adapted = contender("1>2", [accuracy], [loss])
    poor = contender("2>3", [0.81], [3.0])  # a better metric, but not the best adapters
    chosen = choose([poor, adapted, head_only], "accuracy")
    assert chosen is (adapted if wins else head_only)


HITS = np.array([1.0] * 80 + [0.0] * 20)
OTHER_HITS = np.roll(HITS, 2)  # four images differ: standard error 0.02, over two folds 0.014


@pytest.mark.parametrize("role", [Role.LORA, Role.EVERY_BLOCK])
@pytest.mark.parametrize(
    ("better", "folds", "wins"), [(0.018, 1, False), (0.022, 1, True), (0.018, 2, True)]
)
def test_places_win_over_every_block_by_more_than_a_standard_error_of_the_metric(
    role, better, folds, wins
):
    everywhere = contender("0>1@lora", [0.8] * folds, [0.6] * folds, role, 0.0, HITS)
    places = [0.8 + better] * folds, [0.2] * folds  # a lower loss alone says little
    found = contender("2>5", *places, by_image=OTHER_HITS)
    assert choose([found, everywhere], "accuracy") is (found if wins else everywhere)
    # What is certain needs no margin, and head-only has a rule of its own.
    sure = contender("2>5", [0.81] * folds, [0.58] * folds, by_image=HITS + 0.01)
    assert choose([sure, everywhere], "accuracy") is sure
    head_only = contender("head-only", [0.8], [0.61], Role.HEAD_ONLY, 0.0, OTHER_HITS)
    assert choose([head_only, sure], "accuracy") is sure


@pytest.mark.parametrize(("better", "wins"), [(0.04, False), (0.06, True)])
def test_where_the_metric_is_the_loss_the_margin_is_of_the_loss(better, wins):
    by_image, noise = np.full(100, -0.6), 0.5 * np.array([1.0, -1.0] * 50)  # standard error 0.05
    everywhere = contender("0>1@lora", [0.8], [0.6], Role.LORA, 0.0, by_image)
    found = contender("2>5", [0.8], [0.6 - better], by_image=by_image + better + noise)
    assert choose([found, everywhere], LOG_LOSS) is (found if wins else everywhere)


@pytest.mark.parametrize(("better", "wins"), [(0.01, False), (0.03, True)])
def test_every_block_too_must_be_clearly_better_than_lora(better, wins):
    lora = contender("0>1@lora", [0.8], [0.6], Role.LORA, 0.0, HITS)
    every_block = contender("0>1+1>2", [0.8 + better], [0.5], Role.EVERY_BLOCK, 0.0, OTHER_HITS)
    found = contender("2>5", [0.7], [0.7], by_image=HITS)
    chosen = choose([found, every_block, lora], "accuracy")
    assert chosen is (every_block if wins else lora)


def test_every_block_has_no_advantage_beside_lora():
    lora = contender("0>1@lora", [0.75], [0.6], Role.LORA, 0.0, HITS)
    every_block = contender("0>1+1>2", [0.79], [0.5], Role.EVERY_BLOCK, 0.0, HITS)
    found = contender("2>5", [0.8], [0.4], by_image=OTHER_HITS)
    assert choose([found, every_block], "accuracy") is every_block
    assert choose([found, every_block, lora], "accuracy") is found


def test_whoever_beats_lora_by_score_and_is_clearly_ahead_wins_if_the_best_is_not():
    lora = contender("0>1@lora", [0.8], [0.6], Role.LORA, 0.0, HITS)
    best = contender("2>5", [0.81], [0.3], by_image=OTHER_HITS)
    second = contender("3>5", [0.83], [0.45], by_image=OTHER_HITS)
    worse = contender("4>5", [0.83], [1.9], by_image=OTHER_HITS)
    assert choose([best, lora], "accuracy") is lora
    assert choose([best, second, lora], "accuracy") is second
    assert choose([best, worse, lora], "accuracy") is lora


def test_lora_has_no_advantage_where_head_only_is_better_in_metric_and_loss():
    head_only = contender("head-only", [0.70], [0.85], Role.HEAD_ONLY, 0.0, HITS)
    lora = contender("0>1@lora", [0.64], [0.95], Role.LORA, 0.0, HITS)
    found = contender("2>5", [0.65], [0.83], by_image=OTHER_HITS)
    assert choose([head_only, lora, found], "accuracy") is found


@pytest.mark.parametrize("weights", ["none", "balanced"])
@pytest.mark.parametrize("metric", ["accuracy", "macro-f1", LOG_LOSS])
def test_what_the_metric_makes_of_images_has_the_mean_that_the_trial_reported(metric, weights):
    settings = TrialSettings(epochs=1, batch_size=100, class_weights=weights)
    task = open_task("builtin:digits")
    task.metric = metric
    trial = Trial(Placement.parse("20>22@bottleneck:r=2"), 0, learning_rate=0.01)
    (done,) = run_trials(task, [trial], settings)
    by_image = on_images(task, Contender([done], 0.0), settings, Deadline()).by_image
    assert by_image.shape == (len(task.rows("val")),)
    assert by_image.mean() == pytest.approx(done.val.of(metric), rel=1e-5)


def test_rates_that_are_given_cost_no_later_search():
    sides = Sides(refit_share=1.0, may_win=1, tested=4)
    assert sides.later_rates == 2
    given = replace(sides, searches=False)
    costs = [Allowance(4, 2, 1, 1).by_phase(10, each)["baselines"] for each in (sides, given)]
    assert costs[0] > costs[1] == 0


def test_a_prior_that_is_unknown_neither_helps_nor_hurts():
    known = contender("1>2", [0.8], [0.5], prior=0.1)
    unknown = contender("2>3", [0.81], [0.49], prior=np.nan)
    assert choose([known, unknown], "accuracy") is unknown


@given(st.floats(0, 5000))
def test_what_is_afforded_fits_the_time_or_is_the_least_there_is(seconds):
    settings = PickSettings()
    sides = Sides(refit_share=1.25, may_win=2, tested=3)
    allowed = afford(settings, 24, 2, sides, seconds_per_training=10.0, seconds=seconds)
    needed = 10 * sum(allowed.by_phase(settings.epochs, sides).values())
    assert needed <= seconds or allowed == Allowance(field=1, top_k=1, folds=1, seeds=1)
    more = afford(settings, 24, 2, sides, seconds_per_training=10.0, seconds=seconds + 100)
    assert (more.field, more.seeds, more.folds) >= (allowed.field, allowed.seeds, allowed.folds)
