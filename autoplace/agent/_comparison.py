"""Paired comparison of two placements on the same test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoplace.training import metric_value

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
    test images for both sides, and seeds of each side, so the interval holds the luck of both.
    """
    rng = np.random.default_rng(seed)

    def mean(guesses: np.ndarray, rows: np.ndarray | slice) -> float:
        return float(np.mean([metric_value(metric, labels[rows], each[rows]) for each in guesses]))

    draws = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        rows = rng.integers(len(labels), size=len(labels))
        one = ours[rng.integers(len(ours), size=len(ours))]
        other = theirs[rng.integers(len(theirs), size=len(theirs))]
        draws[number] = mean(one, rows) - mean(other, rows)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    everything = slice(None)
    return Interval(mean(ours, everything) - mean(theirs, everything), float(low), float(high))
