"""Dividing the images of the probe into micro-batches and two folds."""

from __future__ import annotations

import numpy as np

# Share of micro-batches in the first fold. It is smaller because its images run forward twice.
FIRST_FOLD = 0.4


def deal(labels: np.ndarray, count: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Divide rows into stratified micro-batches, and these into two folds.

    A class with two or more rows has some in each fold, as far as the smaller fold has room for
    every class, so that the head that is fitted on one fold has seen the classes of the other.

    Parameters
    ----------
    labels : ndarray of shape (rows,)
        Classes of at least two rows.
    count : int
        Number of micro-batches; fewer if there are fewer rows.
    seed : int
        Seed of the order within classes.

    Returns
    -------
    first, second : list of ndarray
        The micro-batches of each fold; each is an array of row numbers and not empty.

    Examples
    --------
    >>> import numpy as np
    >>> first, second = deal(np.array([0] * 10 + [1] * 10), count=5, seed=0)
    >>> len(first), len(second)
    (2, 3)
    >>> [int((rows < 10).sum()) for rows in first + second]  # rows of class 0
    [2, 2, 2, 2, 2]
    """
    rng = np.random.default_rng(seed)
    count = min(count, len(labels))
    hand = np.empty(len(labels), dtype=np.int64)
    start = int(rng.integers(count))
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        hand[rows] = (np.arange(len(rows)) + start) % count
        start += len(rows)  # the next class continues here, so sizes differ by at most 1
    # Every other micro-batch, so that two images of a rare class are usually in different folds.
    in_first = range(0, 2 * max(1, round(FIRST_FOLD * count)), 2)
    _put_classes_in_both_folds(labels, hand, in_first)
    parts = [np.flatnonzero(hand == k) for k in range(count)]
    return [parts[k] for k in in_first], [parts[k] for k in range(count) if k not in in_first]


def _put_classes_in_both_folds(labels: np.ndarray, hand: np.ndarray, in_first: range) -> None:
    """Swap rows between micro-batches, in place, where one fold has all rows of a class."""
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        fold = np.isin(hand[rows], in_first)
        if len(rows) < 2 or fold.any() != fold.all():
            continue
        there = np.flatnonzero(np.isin(hand, in_first) != fold[0])
        counts = np.bincount(labels[there], minlength=labels.max() + 1)
        if counts.max(initial=0) < 2:  # every row there is the only one of its class
            continue
        other = there[labels[there] == counts.argmax()][0]
        hand[rows[0]], hand[other] = hand[other], hand[rows[0]]
