"""How the probe's images are divided: micro-batches to compare, two folds to fit heads on."""

from __future__ import annotations

import numpy as np

FIRST_FOLD = 0.4  # of the micro-batches: its images run forward twice, so it is the smaller one


def deal(labels: np.ndarray, count: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Deal rows to `count` micro-batches, class by class, so that each has its share of every one.

    labels: (rows,), at least two. Returns the micro-batches of the first and of the second fold,
    each an array of rows, none of them empty.
    """
    rng = np.random.default_rng(seed)
    count = min(count, len(labels))
    hand = np.empty(len(labels), dtype=np.int64)
    start = int(rng.integers(count))
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        hand[rows] = (np.arange(len(rows)) + start) % count
        start += len(rows)  # and on from class to class, so that sizes differ by one at most
    parts = [np.flatnonzero(hand == k) for k in range(count)]
    # Every other one, so that two images of a rare class come into different folds.
    in_first = range(0, 2 * max(1, round(FIRST_FOLD * count)), 2)
    return [parts[k] for k in in_first], [parts[k] for k in range(count) if k not in in_first]
