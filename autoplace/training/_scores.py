"""Scores of a split from its logits."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import log_softmax


@dataclass(frozen=True)
class Scores:
    """Accuracy, balanced accuracy and macro F1 (0 to 1), and mean cross-entropy in nats."""

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    loss: float

    def of(self, metric: str) -> float:
        """The score that `--metric` names, e.g. `macro-f1`."""
        return float(asdict(self)[metric.replace("-", "_")])


def metric_value(metric: str, labels: np.ndarray, guesses: np.ndarray) -> float:
    """One metric by its `--metric` name. labels, guesses: (rows,), classes from 0."""
    n_classes = int(max(labels.max(), guesses.max())) + 1
    counts = (labels[labels == guesses], labels, guesses)
    hits, held, guessed = (np.bincount(each, minlength=n_classes) for each in counts)
    return float(metric_of_counts(metric, hits, held, guessed))


def metric_of_counts(
    metric: str, hits: np.ndarray, held: np.ndarray, guessed: np.ndarray
) -> np.ndarray:
    """A metric from counts per class, (..., classes) each; returns (...).

    hits: rows guessed right; held: rows of the class; guessed: rows guessed to be of it. The same
    numbers as scikit-learn's, in which a class that is neither held nor guessed does not count;
    a bootstrap asks for thousands of them.
    """
    with np.errstate(invalid="ignore"):  # 0 / 0 of such a class, passed over by nanmean
        match metric:
            case "accuracy":
                return np.asarray(hits.sum(-1) / held.sum(-1))
            case "balanced-accuracy":
                return np.asarray(np.nanmean(hits / held, axis=-1))
            case "macro-f1":
                return np.asarray(np.nanmean(2 * hits / (held + guessed), axis=-1))
    raise ValueError(f"unknown metric {metric!r}")


def score(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """logits: (rows, classes); labels: (rows,)."""
    guesses = logits.argmax(1)
    loss = -log_softmax(logits.astype(float), axis=1)[np.arange(len(labels)), labels].mean()
    return Scores(
        metric_value("accuracy", labels, guesses),
        metric_value("balanced-accuracy", labels, guesses),
        metric_value("macro-f1", labels, guesses),
        float(loss),
    )
