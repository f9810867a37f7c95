"""Paired comparison of two placements on the same test images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autoplace.training._scores import losses, metric_of_counts
from predictors.vocabulary import LOG_LOSS

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
    """Compute how much better `ours` is than `theirs`, in units of the metric.

    The bootstrap draws the same test images for both sides, and seeds of each side, so the interval
    covers the chance of both. With few seeds, the share of the seeds is somewhat too small.

    Parameters
    ----------
    metric : str
        Its `--metric` name.
    labels : ndarray (rows,)
        True classes.
    ours, theirs : ndarray (seeds, rows, classes)
        Logits.

    Returns
    -------
    Interval
        The difference of the means over seeds.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([0, 1] * 50)
    >>> right = np.eye(2)[labels][None]
    >>> paired_difference("accuracy", labels, right, -right)
    Interval(difference=1.0, low=1.0, high=1.0)
    >>> round(paired_difference("log-loss", labels, right, -right).difference, 3)
    1.0
    """
    rng = np.random.default_rng(0)

    def resampled(values: np.ndarray) -> float:
        return float(values[rng.integers(len(values), size=len(values))].mean())

    ours_by_seed, theirs_by_seed = (_by_seed(metric, labels, each) for each in (ours, theirs))
    draws = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        rows = rng.integers(len(labels), size=len(labels))
        draws[number] = resampled(ours_by_seed(rows)) - resampled(theirs_by_seed(rows))
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    everything = np.arange(len(labels))
    difference = ours_by_seed(everything).mean() - theirs_by_seed(everything).mean()
    return Interval(float(difference), float(low), float(high))


def _by_seed(
    metric: str, labels: np.ndarray, logits: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that computes the metric of each seed, (seeds,), on drawn rows.

    Only one number per seed and row is kept: the predicted class, or for log-loss the loss.
    """
    if metric == LOG_LOSS:
        by_row = -losses(labels, logits)
        return lambda rows: np.asarray(by_row[:, rows].mean(-1))
    guesses, n_classes = logits.argmax(-1), logits.shape[-1]

    def count(classes: np.ndarray) -> np.ndarray:
        return np.bincount(classes, minlength=n_classes)

    def of_rows(rows: np.ndarray) -> np.ndarray:
        true, drawn = labels[rows], guesses[:, rows]
        hits = np.stack([count(true[each == true]) for each in drawn])
        return metric_of_counts(metric, hits, count(true), np.stack([count(x) for x in drawn]))

    return of_rows
