"""The head a trial starts from: a cross-validated L2 logistic fit on frozen features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold

Array = NDArray[np.floating]

PENALTIES = tuple(float(c) for c in np.logspace(-4, 1, 6))  # scikit-learn's C: inverse strength


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
        for index, c in enumerate(PENALTIES):
            head = _fit(features[train], labels[train], n_classes, c)
            losses[index] += cross_entropy(head.logits(features[held_out]), labels[held_out])
    return _fit(features, labels, n_classes, PENALTIES[int(losses.argmin())])


def cross_fitted_heads(
    features: Array, labels: NDArray[np.integer], n_classes: int, seed: int
) -> tuple[NDArray[np.integer], list[LinearHead]]:
    """Two halves and a head for each, fitted on the *other* half.

    Returns (rows,) the half of every row, and the head to use for each half, so that no row is
    judged by a head that has seen it.
    """
    rng = np.random.default_rng(seed)
    half = np.zeros(len(labels), dtype=np.int64)
    start = int(rng.integers(2))
    for label in np.unique(labels):  # alternate within each class, so that both halves have it
        rows = rng.permutation(np.flatnonzero(labels == label))
        half[rows] = (np.arange(len(rows)) + start) % 2
        start += len(rows)  # and on from class to class, so that no half is ever empty
    heads = [
        fit_head(features[half != side], labels[half != side], n_classes, seed) for side in (0, 1)
    ]
    return half, heads


def _fit(features: Array, labels: NDArray[np.integer], n_classes: int, c: float) -> LinearHead:
    centre, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 1e-8, scale, 1.0)
    present = np.unique(labels)
    weight = np.zeros((n_classes, features.shape[1]))
    bias = np.zeros(n_classes)
    if len(present) > 1:
        with warnings.catch_warnings():
            # A strong C on few rows may stop early; cross-validation then simply ranks it lower.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=c, max_iter=300)
            model.fit((features - centre) / scale, labels)
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
    return LinearHead(weight, bias)
