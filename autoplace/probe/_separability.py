"""How well a closed-form linear classifier reads the classes off each node."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def separability(pooled: NDArray[np.floating], labels: NDArray[np.integer], seed: int) -> float:
    """Cross-validated accuracy of a ridge classifier on one node.

    pooled: (rows, dim) token means; labels: (rows,). NaN where no class has two rows.
    """
    counts = np.bincount(labels)
    enough = np.flatnonzero(counts >= 2)
    rows = np.isin(labels, enough)
    if len(enough) < 2:
        return float("nan")
    folds = StratifiedKFold(min(3, int(counts[enough].min())), shuffle=True, random_state=seed)
    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=float(pooled.shape[1])))
    guesses = cross_val_predict(model, pooled[rows], labels[rows], cv=folds)
    return float((guesses == labels[rows]).mean())
