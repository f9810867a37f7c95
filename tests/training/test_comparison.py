"""The paired comparison: its sign, its interval, and what pairing is worth."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from autoplace.training import metric_value, paired_difference
from predictors.vocabulary import METRICS

ROWS, CLASSES = 300, 4


def logits_of(labels: np.ndarray, share_right: float, seeds: int, seed: int) -> np.ndarray:
    """(seeds, rows, CLASSES): logits that are right with the given probability, wrong otherwise."""
    rng = np.random.default_rng(seed)
    wrong = (labels + rng.integers(1, CLASSES, (seeds, len(labels)))) % CLASSES
    guesses = np.where(rng.random((seeds, len(labels))) < share_right, labels, wrong)
    return 3.0 * np.eye(CLASSES)[guesses]


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).integers(CLASSES, size=ROWS)


@pytest.mark.parametrize("metric", METRICS)
def test_equal_logits_differ_by_nothing_at_all(labels, metric):
    logits = logits_of(labels, 0.7, seeds=1, seed=1)
    found = paired_difference(metric, labels, logits, logits)
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("metric", METRICS)
def test_the_better_side_has_the_sign_and_changing_sides_changes_it(labels, metric):
    good, bad = logits_of(labels, 0.9, 3, 1), logits_of(labels, 0.6, 3, 2)
    ours, theirs = (paired_difference(metric, labels, *sides) for sides in
                    ((good, bad), (bad, good)))  # fmt: skip
    assert 0 < ours.low < ours.difference < ours.high
    assert theirs.difference == pytest.approx(-ours.difference)
    assert theirs.high < 0


@pytest.mark.parametrize("metric", METRICS)
def test_the_difference_is_that_of_the_means_over_seeds(labels, metric):
    ours, theirs = logits_of(labels, 0.8, 3, 1), logits_of(labels, 0.7, 2, 2)
    found = paired_difference(metric, labels, ours, theirs)
    means = [np.mean([metric_value(metric, labels, x) for x in side]) for side in (ours, theirs)]
    assert found.difference == pytest.approx(means[0] - means[1])
    assert found.low <= found.difference <= found.high


def test_the_loss_tells_sides_apart_that_predict_the_same_classes(labels):
    sure, unsure = logits_of(labels, 1.0, 1, 1), 0.1 * logits_of(labels, 1.0, 1, 1)
    assert not paired_difference("accuracy", labels, sure, unsure).excludes_zero
    assert paired_difference("log-loss", labels, sure, unsure).low > 0


def test_the_comparison_of_10_000_images_by_loss_keeps_one_number_per_image():
    labels = np.random.default_rng(0).integers(CLASSES, size=10_000)
    ours, theirs = logits_of(labels, 0.8, 3, 1), logits_of(labels, 0.7, 3, 2)
    tracemalloc.start()
    try:
        paired_difference("log-loss", labels, ours, theirs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * ours.nbytes


@pytest.mark.parametrize("metric", METRICS)
def test_predictions_that_agree_on_most_images_give_a_narrower_interval_than_unrelated_ones(
    labels, metric
):
    ours = logits_of(labels, 0.7, seeds=1, seed=1)
    alike = ours.copy()
    alike[:, :10] = np.roll(ours[:, :10], 1, axis=-1)
    unrelated = logits_of(labels, 0.7, seeds=1, seed=2)
    paired, apart = (paired_difference(metric, labels, ours, x) for x in (alike, unrelated))
    assert paired.high - paired.low < 0.5 * (apart.high - apart.low)


def test_the_luck_of_seeds_widens_the_interval(labels):
    theirs = logits_of(labels, 0.5, seeds=1, seed=3)
    steady = np.repeat(logits_of(labels, 0.7, 1, 1), 3, axis=0)
    shaky = np.concatenate([logits_of(labels, share, 1, 1) for share in (0.5, 0.7, 0.9)])
    narrow, wide = (paired_difference("accuracy", labels, x, theirs) for x in (steady, shaky))
    assert wide.high - wide.low > narrow.high - narrow.low
