"""The head that a trial starts from: a cross-validated L2 logistic fit on frozen features."""

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
from threadpoolctl import threadpool_limits

Array = NDArray[np.floating]

PENALTIES = tuple(float(c) for c in np.logspace(-4, 1, 6))  # C of scikit-learn: inverse strength
# Largest gradient at which a fit stops: in cross-validation, and for the final head.
ROUGH_TOLERANCE, FINAL_TOLERANCE = 1e-3, 1e-4


@dataclass(frozen=True)
class LinearHead:
    """A linear classifier.

    Parameters
    ----------
    weight : ndarray of shape (classes, features)
        Weights.
    bias : ndarray of shape (classes,)
        Biases.

    Examples
    --------
    >>> import numpy as np
    >>> head = LinearHead(weight=np.array([[1.0, 0.0], [0.0, 2.0]]), bias=np.array([0.0, 1.0]))
    >>> head.logits(np.array([[3.0, 4.0]]))
    array([[3., 9.]])
    """

    weight: Array
    bias: Array

    def logits(self, features: Array) -> Array:
        """Compute the logits (rows, classes) of features (rows, features)."""
        return features @ self.weight.T + self.bias


def cross_entropy(logits: Array, labels: NDArray[np.integer]) -> float:
    """Compute the mean negative log-likelihood in nats."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def fit_head(features: Array, labels: NDArray[np.integer], n_classes: int, seed: int) -> LinearHead:
    """Fit a logistic head, with the L2 penalty chosen by log-loss in 3-fold cross-validation.

    With fewer than three rows there is no cross-validation and the penalty is the middle one.

    Parameters
    ----------
    features : ndarray of shape (rows, features)
        Features of the images.
    labels : ndarray of shape (rows,)
        Classes, from 0 to n_classes - 1; a class without rows is never predicted.
    n_classes : int
        Number of classes.
    seed : int
        Seed of the folds.

    Returns
    -------
    LinearHead
        The head, for features that are not standardised.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.arange(30) % 3
    >>> features = np.eye(3)[labels] + np.random.default_rng(0).normal(0, 0.1, (30, 3))
    >>> head = fit_head(features, labels, n_classes=3, seed=0)
    >>> bool((head.logits(features).argmax(axis=1) == labels).all())
    True
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
        heads = _fit_path(features[train], labels[train], n_classes, PENALTIES, ROUGH_TOLERANCE)
        for index, head in enumerate(heads):
            losses[index] += cross_entropy(head.logits(features[held_out]), labels[held_out])
    return _fit(features, labels, n_classes, PENALTIES[int(losses.argmin())])


def _fit(features: Array, labels: NDArray[np.integer], n_classes: int, c: float) -> LinearHead:
    return next(_fit_path(features, labels, n_classes, (c,), FINAL_TOLERANCE))


def _fit_path(
    features: Array,
    labels: NDArray[np.integer],
    n_classes: int,
    penalties: Sequence[float],
    tolerance: float,
) -> Iterator[LinearHead]:
    """Fit a head for each penalty in turn, each starting from the one before."""
    centre, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 1e-8, scale, 1.0)
    standardised = (features - centre) / scale
    present = np.unique(labels)
    model = LogisticRegression(tol=tolerance, max_iter=300, warm_start=True)
    for c in penalties:
        weight = np.zeros((n_classes, features.shape[1]))
        bias = np.zeros(n_classes)
        if len(present) > 1:
            # On one core, because sums over several cores differ in their last bits.
            with warnings.catch_warnings(), threadpool_limits(1, "blas"):
                # A large C on few rows may not converge; cross-validation then ranks it lower.
                warnings.simplefilter("ignore", ConvergenceWarning)
                # Tasks may have many classes with few rows each.
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
            # A class without rows gets a lower bias than every other, so it is never predicted.
            bias[np.setdiff1d(np.arange(n_classes), present)] = intercept.min() - 1.0
        yield LinearHead(weight, bias)
