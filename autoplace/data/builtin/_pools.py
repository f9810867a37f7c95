"""Pools of the items that pictures are made from; items of test are never in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

ItemT = TypeVar("ItemT")
TRAIN, VAL = 0.5, 0.65  # where each pool ends, as a fraction of the items


def pool(items: Sequence[ItemT], split: int) -> list[ItemT]:
    """Return the items of a split (0 train, 1 val, 2 test); at least one if there are three.

    The pools are fixed: they depend on the number of items only, not on the seed of a task.
    """
    n = len(items)
    order = np.random.default_rng(n).permutation(n)
    train = min(max(1, round(TRAIN * n)), n - 2)
    val = min(max(train + 1, round(VAL * n)), n - 1)
    start, end = ((0, train), (train, val), (val, n))[split]
    return [items[k] for k in order[start:end]]
