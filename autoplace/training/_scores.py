"""Scores of a split from its logits; higher is better for every metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from predictors.vocabulary import LOG_LOSS


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
    >>> scores = Scores(0.75, 0.7, 0.65, loss=0.5)
    >>> scores.of("macro-f1"), scores.of("log-loss")
    (0.65, -0.5)
    """

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    loss: float

    def of(self, metric: str) -> float:
        """Return the score that `--metric` names; `log-loss` is minus the loss."""
        if metric == LOG_LOSS:
            return -self.loss
        return float(asdict(self)[metric.replace("-", "_")])


def metric_value(metric: str, labels: np.ndarray, logits: np.ndarray) -> float:
    """Compute the value of a metric.

    Parameters
    ----------
    metric : str
        Its `--metric` name.
    labels : ndarray (rows,)
        True classes, from 0.
    logits : ndarray (rows, classes)

    Raises
    ------
    ValueError
        Unknown metric.

    Examples
    --------
    >>> logits = np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 2.0], [2.0, 0.0]])
    >>> metric_value("accuracy", np.array([0, 1, 1, 1]), logits)
    0.75
    >>> round(metric_value("log-loss", np.array([0, 1, 1, 1]), logits), 3)
    -0.627
    """
    if metric == LOG_LOSS:
        return -float(losses(labels, logits).mean())
    hits, held, guessed = _counts(labels, logits.argmax(-1), logits.shape[-1])
    return float(metric_of_counts(metric, hits, held, guessed))


def metric_by_image(
    metric: str, labels: np.ndarray, logits: np.ndarray, class_weights: np.ndarray | None = None
) -> np.ndarray:
    """Share out the value of a metric among the images.

    The mean is the value, and the standard deviation over the square root of the number of images
    is its standard error; the same holds for the difference of two models on the same images. For
    metrics that are not means over images, these are the value plus the influence function of each
    image (the infinitesimal jackknife, Efron, 1982).

    Parameters
    ----------
    metric : str
        Its `--metric` name.
    labels : ndarray (rows,)
        True classes, from 0.
    logits : ndarray (rows, classes)
    class_weights : ndarray (classes,), optional
        Weights of the mean loss, where training has them.

    Returns
    -------
    ndarray (rows,)

    Raises
    ------
    ValueError
        Unknown metric.

    Examples
    --------
    >>> logits = np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 2.0], [2.0, 0.0]])
    >>> metric_by_image("accuracy", np.array([0, 1, 1, 1]), logits)
    array([1., 1., 1., 0.])
    >>> float(metric_by_image("macro-f1", np.array([0, 1, 1, 1]), logits).mean().round(3))
    0.733
    """
    if metric == LOG_LOSS:
        each = losses(labels, logits)
        weights = np.ones(len(labels)) if class_weights is None else class_weights[labels]
        mean = np.average(each, weights=weights)
        return np.asarray(-mean - weights * (each - mean) / weights.mean())
    guesses, n_classes = logits.argmax(-1), logits.shape[-1]
    right = np.asarray(guesses == labels, dtype=float)
    hits, held, guessed = _counts(labels, guesses, n_classes)
    value = metric_of_counts(metric, hits, held, guessed)
    if metric == "accuracy":  # a mean over images
        return right
    occurring = (held if metric == "balanced-accuracy" else held + guessed) > 0
    scale = len(labels) / occurring.sum()
    if metric == "balanced-accuracy":
        recall = hits[labels] / held[labels]
        return np.asarray(value + scale * (right - recall) / held[labels])
    both = np.maximum(held + guessed, 1)
    f1 = 2 * hits / both
    influence = (2 * right - f1[labels]) / both[labels] - f1[guesses] / both[guesses]
    return np.asarray(value + scale * influence)


def _counts(labels: np.ndarray, guesses: np.ndarray, n_classes: int) -> list[np.ndarray]:
    """Count, for each class, the rows that are right, that are of it, and predicted to be of it."""
    counted = (labels[labels == guesses], labels, guesses)
    return [np.bincount(each, minlength=n_classes) for each in counted]


def losses(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Return the cross-entropy of each row in nats, (..., rows), of logits (..., rows, classes).

    Examples
    --------
    >>> losses(np.array([0, 1]), np.array([[2.0, 0.0], [2.0, 0.0]])).round(3)
    array([0.127, 2.127])
    """
    values = log_softmax(logits.astype(float), axis=-1)
    return np.asarray(-values[..., np.arange(len(labels)), labels])


def metric_of_counts(
    metric: str, hits: np.ndarray, held: np.ndarray, guessed: np.ndarray
) -> np.ndarray:
    """Compute values of a metric from counts per class.

    They equal scikit-learn's: a class that occurs neither among the labels nor among the
    predictions does not count. We do not call scikit-learn, because a bootstrap needs thousands of
    values.

    Parameters
    ----------
    metric : str
        Its `--metric` name. `log-loss` cannot be computed from counts.
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


def score(
    logits: np.ndarray, labels: np.ndarray, class_weights: np.ndarray | None = None
) -> Scores:
    """Compute all scores of a split.

    Parameters
    ----------
    logits : ndarray (rows, classes)
    labels : ndarray (rows,)
    class_weights : ndarray (classes,), optional
        Weights of the mean loss, where training has them.

    Examples
    --------
    >>> score(np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([0, 1])).accuracy
    1.0
    """
    weights = None if class_weights is None else class_weights[labels]
    return Scores(
        metric_value("accuracy", labels, logits),
        metric_value("balanced-accuracy", labels, logits),
        metric_value("macro-f1", labels, logits),
        float(np.average(losses(labels, logits), weights=weights)),
    )


def class_report(labels: np.ndarray, logits: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Compute precision, recall and F1 of each class, as scikit-learn does.

    Parameters
    ----------
    labels : ndarray (rows,)
        True classes, from 0.
    logits : ndarray (rows, classes)
    classes : sequence of str
        Names of the classes.

    Returns
    -------
    DataFrame (classes, 4)
        `precision`, `recall`, `f1` and `support` (rows of the class); index `class`. A ratio with a
        denominator of 0 is 0: the precision of a class that is never predicted, the recall of a
        class without rows.

    Examples
    --------
    >>> logits = np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 2.0], [2.0, 0.0]])
    >>> class_report(np.array([0, 1, 1, 1]), logits, ["cat", "dog"]).round(2)
           precision  recall   f1  support
    class
    cat          0.5    1.00  0.67        1
    dog          1.0    0.67  0.80        3
    """
    columns = precision_recall_fscore_support(
        labels, logits.argmax(-1), labels=range(len(classes)), zero_division=0.0
    )
    index = pd.Index(list(classes), name="class", dtype=object)
    return pd.DataFrame(
        dict(zip(("precision", "recall", "f1", "support"), columns, strict=True)), index=index
    )


def confusion(labels: np.ndarray, logits: np.ndarray, n_classes: int) -> np.ndarray:
    """Count the rows of each true class by predicted class.

    Parameters
    ----------
    labels : ndarray (rows,)
        True classes, from 0.
    logits : ndarray (rows, classes)
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray (n_classes, n_classes) of int
        True classes down, predicted classes across.

    Examples
    --------
    >>> logits = np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 2.0], [2.0, 0.0]])
    >>> confusion(np.array([0, 1, 1, 1]), logits, 2)
    array([[1, 0],
           [1, 2]])
    """
    return np.asarray(confusion_matrix(labels, logits.argmax(-1), labels=range(n_classes)))
