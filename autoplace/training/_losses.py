"""Parts of the training loss: weights of classes, and means over each trial's images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def means(values: Tensor, sizes: Sequence[int]) -> Tensor:
    """Means (parts,) of consecutive parts of values (rows,)."""
    if len(set(sizes)) == 1:
        return values.view(len(sizes), -1).mean(1)
    return torch.stack([part.mean() for part in values.split(list(sizes))])


def class_weights(labels: np.ndarray, n_classes: int, kind: str) -> np.ndarray | None:
    """Weights (classes,) of the loss: `balanced` gives every class the same share of it.

    Examples
    --------
    >>> class_weights(np.array([0, 0, 0, 1]), 2, "balanced").round(2)
    array([0.67, 2.  ])
    """
    if kind == "none":
        return None
    counts = np.bincount(labels, minlength=n_classes)
    weights: np.ndarray = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return weights
