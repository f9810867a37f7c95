"""Seeded, stratified samples of a split."""

from __future__ import annotations

import numpy as np


def stratified_sample(
    labels: np.ndarray, count: int, seed: int, *, at_least: int = 1
) -> np.ndarray:
    """Draw `count` rows in random order, each class in proportion to its frequency.

    Parameters
    ----------
    labels : ndarray
        Class indices of shape (rows,).
    count : int
        Size of the sample. If there are not more rows, all of them are returned.
    seed : int
        Seed of the sample and of its order.
    at_least : int, default=1
        Rows of each class to draw first, however rare it is: one of each class, then a second of
        each, and so on, as far as the class and `count` allow.

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
    >>> np.bincount(labels[stratified_sample(labels, 10, seed=0, at_least=4)])
    array([6, 4])
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    # Position of each row in its class, scaled to 0..1; the lowest form a stratified sample.
    position = np.empty(len(labels))
    turn = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        rows = shuffled[labels[shuffled] == label]
        position[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
        turn[rows] = np.minimum(np.arange(len(rows)), at_least)
    drawn = np.lexsort((position, turn))[:count]
    return rng.permutation(drawn[np.argsort(position[drawn], kind="stable")])


def sample_per_class(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw `count` rows of each class, or all rows of a class that has fewer.

    Parameters
    ----------
    labels : ndarray
        Class indices of shape (rows,).
    count : int
        Rows of each class.
    seed : int
        Seed of the sample.

    Returns
    -------
    ndarray
        Sorted indices of the drawn rows.

    Examples
    --------
    >>> import numpy as np
    >>> from autoplace.data import sample_per_class
    >>> labels = np.repeat([0, 1], [80, 3])
    >>> np.bincount(labels[sample_per_class(labels, 5, seed=0)])
    array([5, 3])
    """
    total = int(np.minimum(np.bincount(labels), count).sum())
    return np.sort(stratified_sample(labels, total, seed, at_least=count))
