"""How well a closed-form linear classifier reads the classes off each node."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold
from torch import Tensor


def separability(
    pooled: NDArray[np.floating], labels: NDArray[np.integer], seed: int
) -> NDArray[np.float64]:
    """Cross-validated accuracy of a ridge classifier on each node.

    pooled: (nodes, rows, dim) token means; labels: (rows,). Returns (nodes,). Columns are
    standardised within a fold's training rows and the penalty is dim, as many as the columns'
    variances add up to. Classes with a single row are left out; NaN where fewer than two remain.
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
    return (guesses == classes).mean(axis=1)


def _ridge_scores(known: Tensor, targets: Tensor, asked: Tensor) -> Tensor:
    """Ridge regression with an intercept, all nodes at once.

    known: (nodes, rows, dim); targets: (rows, classes); asked: (nodes, others, dim). Returns
    (nodes, others, classes).
    """
    nodes, rows, dim = known.shape
    centre, scale = known.mean(1, keepdim=True), known.std(1, keepdim=True, correction=0)
    scale = scale.where(scale > 1e-8, torch.ones_like(scale))
    known, asked = (known - centre) / scale, (asked - centre) / scale
    intercept = targets.mean(0)
    wanted = (targets - intercept).expand(nodes, -1, -1)
    # The same weights either way; the smaller system is the cheaper one.
    if rows < dim:
        system = known @ known.mT + dim * torch.eye(rows).to(known)
        weights = known.mT @ torch.linalg.solve(system, wanted)
    else:
        system = known.mT @ known + dim * torch.eye(dim).to(known)
        weights = torch.linalg.solve(system, known.mT @ wanted)
    return asked @ weights + intercept
