"""Separability: how well a closed-form linear classifier tells the classes apart at each node."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold
from torch import Tensor


def separability(
    pooled: NDArray[np.floating], labels: NDArray[np.integer], seed: int
) -> NDArray[np.float64]:
    """Compute the cross-validated accuracy of a ridge classifier at each node.

    Columns are standardised on the training rows of each fold. The penalty is `dim`, the sum of
    the variances of the standardised columns.

    Parameters
    ----------
    pooled : ndarray of shape (nodes, rows, dim)
        Means over the tokens of each image.
    labels : ndarray of shape (rows,)
        Classes; a class with a single row is left out.
    seed : int
        Seed of the folds.

    Returns
    -------
    ndarray of shape (nodes,)
        Accuracy, from 0 to 1; NaN if fewer than two classes remain.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(40) % 2
    >>> noise = rng.normal(size=(40, 3))
    >>> pooled = np.stack([noise, noise + 9 * labels[:, None]])  # two nodes
    >>> first, second = separability(pooled, labels, seed=0)
    >>> bool(first < second), float(second)
    (True, 1.0)
    """
    counts = np.bincount(labels)
    enough = np.flatnonzero(counts >= 2)
    if len(enough) < 2:
        return np.full(len(pooled), np.nan)
    rows = np.isin(labels, enough)
    classes = np.searchsorted(enough, labels[rows])
    values = torch.from_numpy(pooled[:, rows]).double()
    targets = torch.from_numpy(2.0 * np.eye(len(enough))[classes] - 1.0)
    folds = StratifiedKFold(min(3, int(counts[enough].min())), shuffle=True, random_state=seed)
    guesses = np.empty(values.shape[:2], dtype=np.int64)
    for train, held_out in folds.split(classes, classes):
        scores = _ridge_scores(values[:, train], targets[train], values[:, held_out])
        guesses[:, held_out] = scores.argmax(-1).numpy()
    accuracy: NDArray[np.float64] = (guesses == classes).mean(axis=1)
    return accuracy


def _ridge_scores(known: Tensor, targets: Tensor, held_out: Tensor) -> Tensor:
    """Fit a ridge regression with an intercept at each node, and apply it to other rows.

    Parameters
    ----------
    known : Tensor of shape (nodes, rows, dim)
        Training rows.
    targets : Tensor of shape (rows, classes)
        Targets of the training rows.
    held_out : Tensor of shape (nodes, others, dim)
        Rows to score.

    Returns
    -------
    Tensor of shape (nodes, others, classes)
        Scores.
    """
    nodes, rows, dim = known.shape
    centre, scale = known.mean(1, keepdim=True), known.std(1, keepdim=True, correction=0)
    scale = scale.where(scale > 1e-8, torch.ones_like(scale))
    known, held_out = (known - centre) / scale, (held_out - centre) / scale
    intercept = targets.mean(0)
    centred = (targets - intercept).expand(nodes, -1, -1)
    # Both systems give the same weights; the smaller one is cheaper.
    if rows < dim:
        system = known @ known.mT + dim * torch.eye(rows).to(known)
        weights = known.mT @ torch.linalg.solve(system, centred)
    else:
        system = known.mT @ known + dim * torch.eye(dim).to(known)
        weights = torch.linalg.solve(system, known.mT @ centred)
    scores: Tensor = held_out @ weights + intercept
    return scores
