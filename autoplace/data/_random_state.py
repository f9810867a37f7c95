"""The global random states of Python, NumPy and torch, set for a while."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock

import numpy as np
import torch

_LOCK = RLock()  # the states belong to the process, so one thread at a time


@contextmanager
def random_state() -> Iterator[Callable[[int], None]]:
    """Lend the global random states to code that can draw from nothing else.

    Other threads wait until they are given back as they were. torch's is the one of the CPU.

    Yields
    ------
    callable
        Seeds all three.

    Examples
    --------
    >>> import torch
    >>> from autoplace.data import random_state
    >>> with random_state() as seed_all:
    ...     seed_all(7)
    ...     first = torch.rand(2)
    ...     seed_all(7)
    ...     again = torch.rand(2)
    >>> first.equal(again)
    True
    """
    with _LOCK, torch.random.fork_rng(devices=[]):
        python, numpy = random.getstate(), np.random.get_state()
        try:
            yield _seed_all
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs as well
