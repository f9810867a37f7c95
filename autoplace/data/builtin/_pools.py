"""Pools of things that pictures are made from: what test shows, training never did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

ItemT = TypeVar("ItemT")
TRAIN, VAL = 0.5, 0.65  # where each ends, as a share of the items


def pool(items: Sequence[ItemT], split: int) -> list[ItemT]:
    """The items of a split (0 train, 1 val, 2 test), at least one where there are three.

    Which item falls where is fixed: it depends on the number of items alone, not on a task's seed.
    """
    n = len(items)
    order = np.random.default_rng(n).permutation(n)
    train = min(max(1, round(TRAIN * n)), n - 2)
    val = min(max(train + 1, round(VAL * n)), n - 1)
    start, end = ((0, train), (train, val), (val, n))[split]
    return [items[k] for k in order[start:end]]
