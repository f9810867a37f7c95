"""The paired comparison: its sign, its interval, and what pairing is worth."""

from __future__ import annotations

import numpy as np
import pytest

from autoplace.training import paired_difference

METRICS = ("accuracy", "balanced-accuracy", "macro-f1")
ROWS, CLASSES = 300, 4


def guesses_of(labels: np.ndarray, share_right: float, seeds: int, seed: int) -> np.ndarray:
    """(seeds, rows): classes that are right with the given probability, wrong otherwise."""
    rng = np.random.default_rng(seed)
    wrong = (labels + rng.integers(1, CLASSES, (seeds, len(labels)))) % CLASSES
    return np.where(rng.random((seeds, len(labels))) < share_right, labels, wrong)


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).integers(CLASSES, size=ROWS)


@pytest.mark.parametrize("metric", METRICS)
def test_equal_guesses_differ_by_nothing_at_all(labels, metric):
    guesses = guesses_of(labels, 0.7, seeds=1, seed=1)
    found = paired_difference(metric, labels, guesses, guesses)
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("metric", METRICS)
def test_the_better_side_has_the_sign_and_changing_sides_changes_it(labels, metric):
    good, bad = guesses_of(labels, 0.9, 3, 1), guesses_of(labels, 0.6, 3, 2)
    ours, theirs = (paired_difference(metric, labels, *sides) for sides in
                    ((good, bad), (bad, good)))  # fmt: skip
    assert 0 < ours.low < ours.difference < ours.high
    assert theirs.difference == pytest.approx(-ours.difference)
    assert theirs.high < 0


def test_the_difference_is_that_of_the_means_over_seeds(labels):
    ours, theirs = guesses_of(labels, 0.8, 3, 1), guesses_of(labels, 0.7, 2, 2)
    found = paired_difference("accuracy", labels, ours, theirs)
    assert found.difference == pytest.approx((ours == labels).mean() - (theirs == labels).mean())
    assert found.low <= found.difference <= found.high


def test_guesses_that_agree_on_most_images_give_a_narrower_interval_than_unrelated_ones(labels):
    ours = guesses_of(labels, 0.7, seeds=1, seed=1)
    alike = ours.copy()
    alike[:, :10] = (ours[:, :10] + 1) % CLASSES
    unrelated = guesses_of(labels, 0.7, seeds=1, seed=2)
    paired, apart = (paired_difference("accuracy", labels, ours, x) for x in (alike, unrelated))
    assert paired.high - paired.low < 0.5 * (apart.high - apart.low)


def test_the_luck_of_seeds_widens_the_interval(labels):
    theirs = guesses_of(labels, 0.5, seeds=1, seed=3)
    steady = np.repeat(guesses_of(labels, 0.7, 1, 1), 3, axis=0)
    shaky = np.concatenate([guesses_of(labels, share, 1, 1) for share in (0.5, 0.7, 0.9)])
    narrow, wide = (paired_difference("accuracy", labels, x, theirs) for x in (steady, shaky))
    assert wide.high - wide.low > narrow.high - narrow.low
