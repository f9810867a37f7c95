"""Seeded, stratified samples of a split."""

from __future__ import annotations

import numpy as np


def stratified_sample(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw `count` rows in random order, each class in proportion to its frequency.

    Parameters
    ----------
    labels : ndarray
        Class indices of shape (rows,).
    count : int
        Size of the sample. If there are not more rows, all of them are returned.
    seed : int
        Seed of the sample and of its order.

    Returns
    -------
    ndarray
        Indices of shape (min(count, rows),).

    Examples
    --------
    >>> import numpy as np
    >>> from autoplace.data import stratified_sample
    >>> labels = np.repeat([0, 1], [80, 20])
    >>> rows = stratified_sample(labels, 10, seed=0)
    >>> np.bincount(labels[rows])
    array([8, 2])
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    # Position of each row in its class, scaled to 0..1; the lowest form a stratified sample.
    position = np.empty(len(labels))
    for label in np.unique(labels):
        rows = shuffled[labels[shuffled] == label]
        position[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
    return rng.permutation(np.argsort(position, kind="stable")[:count])
