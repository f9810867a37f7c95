"""How trainings of one task are ordered by what they reach on validation."""

from __future__ import annotations

import numpy as np

LOSS_WEIGHT = 2.0  # against 1 for the metric: experiments/choice.py


def validation_scores(metrics: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Score placements by metric and loss, each in units of its spread; the highest is best.

    The loss counts more: it tells apart what a few hundred images cannot tell apart by accuracy.

    Parameters
    ----------
    metrics, losses : ndarray (placements,)
        On the same validation images.

    Examples
    --------
    >>> validation_scores(np.array([0.8, 0.8, 0.7]), np.array([0.5, 0.6, 0.6])).argmax()
    np.int64(0)
    """
    scores: np.ndarray = standardised(metrics) + LOSS_WEIGHT * standardised(-losses)
    return scores


def standardised(values: np.ndarray) -> np.ndarray:
    """Return values (n,) less their mean, in units of their standard deviation."""
    deviation = values.std()
    return (values - values.mean()) / deviation if deviation > 0 else np.zeros(len(values))
