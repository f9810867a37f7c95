"""The head a trial starts from: a cross-validated L2 logistic fit on frozen features."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold

Array = NDArray[np.floating]

PENALTIES = tuple(float(c) for c in np.logspace(-4, 1, 6))  # scikit-learn's C: inverse strength
ROUGHLY, CLOSELY = 1e-3, 1e-4  # largest gradient at the end: to compare penalties, and for the head


@dataclass(frozen=True)
class LinearHead:
    """weight (classes, features) and bias (classes,) of a linear classifier."""

    weight: Array
    bias: Array

    def logits(self, features: Array) -> Array:
        """features: (rows, features); returns (rows, classes)."""
        return features @ self.weight.T + self.bias


def cross_entropy(logits: Array, labels: NDArray[np.integer]) -> float:
    """Mean negative log-likelihood in nats."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def fit_head(features: Array, labels: NDArray[np.integer], n_classes: int, seed: int) -> LinearHead:
    """The logistic head whose penalty does best in 3-fold cross-validation by log-loss.

    features: (rows, features); labels: (rows,) in 0..n_classes-1. With fewer than three rows
    nothing can be validated, and a middling penalty is taken.
    """
    if len(labels) < 3:
        return _fit(features, labels, n_classes, PENALTIES[len(PENALTIES) // 2])
    folds = min(3, int(np.bincount(labels)[np.unique(labels)].min()))
    splitter = (
        StratifiedKFold(folds, shuffle=True, random_state=seed)
        if folds > 1
        else KFold(3, shuffle=True, random_state=seed)
    )
    losses = np.zeros(len(PENALTIES))
    for train, held_out in splitter.split(features, labels):
        heads = _fit_path(features[train], labels[train], n_classes, PENALTIES, ROUGHLY)
        for index, head in enumerate(heads):
            losses[index] += cross_entropy(head.logits(features[held_out]), labels[held_out])
    return _fit(features, labels, n_classes, PENALTIES[int(losses.argmin())])


def _fit(features: Array, labels: NDArray[np.integer], n_classes: int, c: float) -> LinearHead:
    return next(_fit_path(features, labels, n_classes, (c,), CLOSELY))


def _fit_path(
    features: Array,
    labels: NDArray[np.integer],
    n_classes: int,
    penalties: Sequence[float],
    tolerance: float,
) -> Iterator[LinearHead]:
    """A head for each penalty in turn, each begun where the one before it ended."""
    centre, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 1e-8, scale, 1.0)
    standardised = (features - centre) / scale
    present = np.unique(labels)
    model = LogisticRegression(tol=tolerance, max_iter=300, warm_start=True)
    for c in penalties:
        weight = np.zeros((n_classes, features.shape[1]))
        bias = np.zeros(n_classes)
        if len(present) > 1:
            with warnings.catch_warnings():
                # A strong C on few rows may stop early; cross-validation then ranks it lower.
                warnings.simplefilter("ignore", ConvergenceWarning)
                # Many classes of few rows each are what they are.
                warnings.filterwarnings("ignore", "The number of unique classes")
                model.set_params(C=c).fit(standardised, labels)
            coef, intercept = model.coef_, model.intercept_
            if len(present) == 2:  # scikit-learn keeps one row for two classes
                coef, intercept = (
                    np.vstack([-coef, coef]) / 2,
                    np.concatenate([-intercept, intercept]) / 2,
                )
            weight[present] = coef / scale
            bias[present] = intercept - weight[present] @ centre
            # A class without rows: no evidence for it, so a little below the least likely one.
            bias[np.setdiff1d(np.arange(n_classes), present)] = intercept.min() - 1.0
        yield LinearHead(weight, bias)
