"""Scores of a split from its logits."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import log_softmax


@dataclass(frozen=True)
class Scores:
    """Scores of a split.

    Attributes
    ----------
    accuracy, balanced_accuracy, macro_f1 : float
        From 0 to 1.
    loss : float
        Mean cross-entropy in nats.

    Examples
    --------
    >>> Scores(0.75, 0.7, 0.65, loss=0.5).of("macro-f1")
    0.65
    """

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    loss: float

    def of(self, metric: str) -> float:
        """Return the score that `--metric` names, e.g. `macro-f1`."""
        return float(asdict(self)[metric.replace("-", "_")])


def metric_value(metric: str, labels: np.ndarray, guesses: np.ndarray) -> float:
    """Value of a metric.

    Parameters
    ----------
    metric : str
        Its `--metric` name.
    labels, guesses : ndarray (rows,)
        True and predicted classes, from 0.

    Examples
    --------
    >>> metric_value("accuracy", np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]))
    0.75
    """
    n_classes = int(max(labels.max(), guesses.max())) + 1
    counts = (labels[labels == guesses], labels, guesses)
    hits, held, guessed = (np.bincount(each, minlength=n_classes) for each in counts)
    return float(metric_of_counts(metric, hits, held, guessed))


def metric_of_counts(
    metric: str, hits: np.ndarray, held: np.ndarray, guessed: np.ndarray
) -> np.ndarray:
    """Values of a metric from counts per class.

    The same numbers as scikit-learn's, in which a class that occurs neither among the labels nor
    among the predictions does not count. Ours, because a bootstrap needs thousands of them.

    Parameters
    ----------
    metric : str
        Its `--metric` name.
    hits : ndarray (..., classes)
        Rows of the class that are predicted right.
    held : ndarray (..., classes)
        Rows of the class.
    guessed : ndarray (..., classes)
        Rows predicted to be of the class.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    ValueError
        Unknown metric.

    Examples
    --------
    >>> hits, held, guessed = np.array([2, 1]), np.array([2, 2]), np.array([3, 1])
    >>> float(metric_of_counts("balanced-accuracy", hits, held, guessed))
    0.75
    """
    with np.errstate(invalid="ignore"):  # 0 / 0 of such a class, skipped by nanmean
        match metric:
            case "accuracy":
                return np.asarray(hits.sum(-1) / held.sum(-1))
            case "balanced-accuracy":
                return np.asarray(np.nanmean(hits / held, axis=-1))
            case "macro-f1":
                return np.asarray(np.nanmean(2 * hits / (held + guessed), axis=-1))
    raise ValueError(f"unknown metric {metric!r}")


def score(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Compute all scores of a split.

    Parameters
    ----------
    logits : ndarray (rows, classes)
    labels : ndarray (rows,)

    Examples
    --------
    >>> score(np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([0, 1])).accuracy
    1.0
    """
    guesses = logits.argmax(1)
    loss = -log_softmax(logits.astype(float), axis=1)[np.arange(len(labels)), labels].mean()
    return Scores(
        metric_value("accuracy", labels, guesses),
        metric_value("balanced-accuracy", labels, guesses),
        metric_value("macro-f1", labels, guesses),
        float(loss),
    )
