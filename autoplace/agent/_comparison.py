"""Paired comparison of two placements on the same test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoplace.training import metric_of_counts

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A difference of means over seeds, with its 95 % bootstrap interval."""

    difference: float
    low: float
    high: float


def paired_difference(
    metric: str, labels: np.ndarray, ours: np.ndarray, theirs: np.ndarray, seed: int = 0
) -> Interval:
    """How much better `ours` is than `theirs`, in units of the metric.

    labels: (rows,); ours, theirs: (seeds, rows) guessed classes. The bootstrap draws the same
    test images for both sides, and seeds of each side, so the interval holds the luck of both; with
    few seeds their share is somewhat too small.
    """
    rng = np.random.default_rng(seed)
    n_classes = int(max(labels.max(), ours.max(), theirs.max())) + 1

    def count(classes: np.ndarray) -> np.ndarray:
        return np.bincount(classes, minlength=n_classes)

    def by_seed(guesses: np.ndarray, rows: np.ndarray) -> np.ndarray:
        true, drawn = labels[rows], guesses[:, rows]
        hits = np.stack([count(true[each == true]) for each in drawn])
        return metric_of_counts(metric, hits, count(true), np.stack([count(x) for x in drawn]))

    def resampled(values: np.ndarray) -> float:
        return float(values[rng.integers(len(values), size=len(values))].mean())

    draws = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        rows = rng.integers(len(labels), size=len(labels))
        draws[number] = resampled(by_seed(ours, rows)) - resampled(by_seed(theirs, rows))
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    everything = np.arange(len(labels))
    difference = by_seed(ours, everything).mean() - by_seed(theirs, everything).mean()
    return Interval(float(difference), float(low), float(high))
