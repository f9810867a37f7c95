"""Paired comparison of two placements on the same test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoplace.training._scores import metric_of_counts

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A difference of means over seeds, with its 95 % bootstrap interval.

    Examples
    --------
    >>> Interval(0.02, low=-0.01, high=0.05).excludes_zero
    False
    """

    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the two sides are told apart."""
        return self.low > 0 or self.high < 0


def paired_difference(
    metric: str, labels: np.ndarray, ours: np.ndarray, theirs: np.ndarray
) -> Interval:
    """How much better `ours` is than `theirs`, in units of the metric.

    The bootstrap draws the same test images for both sides, and seeds of each side, so that the
    interval covers the luck of both; with few seeds their share is somewhat too small.

    Parameters
    ----------
    metric : str
        Its `--metric` name.
    labels : ndarray (rows,)
        True classes.
    ours, theirs : ndarray (seeds, rows)
        Predicted classes.

    Returns
    -------
    Interval
        Of the difference of the means over seeds.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([0, 1] * 50)
    >>> right, wrong = labels[None], (1 - labels)[None]
    >>> paired_difference("accuracy", labels, right, wrong)
    Interval(difference=1.0, low=1.0, high=1.0)
    """
    rng = np.random.default_rng(0)
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
