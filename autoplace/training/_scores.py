"""Scores of a split from its logits."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score


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
    """One metric by its `--metric` name. labels, guesses: (rows,)."""
    match metric:
        case "accuracy":
            return float(accuracy_score(labels, guesses))
        case "balanced-accuracy":
            with warnings.catch_warnings():
                # A resample may guess a class that it does not hold; the mean over classes
                # that are there is what is meant.
                warnings.simplefilter("ignore", UserWarning)
                return float(balanced_accuracy_score(labels, guesses))
        case "macro-f1":
            return float(f1_score(labels, guesses, average="macro", zero_division=0.0))
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
