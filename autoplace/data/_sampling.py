"""Seeded samples of a split that keep its classes in proportion."""

from __future__ import annotations

import numpy as np


def stratified_sample(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """A sample of `count` rows in random order with classes in their proportions.

    labels: (rows,); returns indices, all of them where there are no more than `count`.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    # Position of each row within its class, scaled to 0..1: the lowest are a stratified sample.
    position = np.empty(len(labels))
    for label in np.unique(labels):
        rows = shuffled[labels[shuffled] == label]
        position[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
    return rng.permutation(np.argsort(position, kind="stable")[:count])
