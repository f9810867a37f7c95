"""Drop: dropout of values or of whole samples, with a random generator of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autoplace.placement import PlacementError


@dataclass(frozen=True)
class BatchPart:
    """Which rows of a batch a model is given, where a batch is divided.

    Parameters
    ----------
    start, stop : int
        The first row, and the one after the last.
    total : int
        Rows of the batch.

    Examples
    --------
    >>> [BatchPart.of(number, parts=2, total=5) for number in range(2)]
    [BatchPart(start=0, stop=2, total=5), BatchPart(start=2, stop=5, total=5)]
    """

    start: int
    stop: int
    total: int

    @classmethod
    def of(cls, number: int, parts: int, total: int) -> BatchPart:
        """Return the part of a number, from 0, of a batch that is divided into so many parts."""
        return cls(number * total // parts, (number + 1) * total // parts, total)

    def __len__(self) -> int:
        return self.stop - self.start


class Drop(nn.Module):
    """Sets random values to zero in training mode, and scales the others up to make up for it.

    Models are trained in several threads at a time, so the masks cannot come from torch's global
    generator. Each module has its own on the CPU. Its seed is drawn from the global one when the
    module is created; a rate of 0 draws nothing. The masks of a training step follow from this
    seed and the number of the step, so a trial that pauses continues with the same ones. They are
    drawn for a whole batch, so a batch that is divided has the same ones, too.

    Parameters
    ----------
    rate : float
        Chance that a value is dropped; from 0 to below 1.
    by_sample : bool, default=False
        Drop all values of a sample together, which is called drop path.

    Examples
    --------
    >>> drop = Drop(0.5, by_sample=True)
    >>> dropped = drop(torch.ones(1, 100, 1, 2))
    >>> dropped.unique(), bool((dropped[..., 0] == dropped[..., 1]).all())
    (tensor([0., 2.]), True)
    >>> bool(drop.eval()(torch.ones(1, 4, 1, 2)).eq(1).all())
    True
    """

    def __init__(self, rate: float, by_sample: bool = False) -> None:
        super().__init__()
        self._rate = rate
        self._by_sample = by_sample
        self._seed = int(torch.randint(2**62, ()).item()) if rate else 0
        self._generator = np.random.default_rng(self._seed)
        self._part: BatchPart | None = None

    @property
    def draws(self) -> bool:
        """Whether it ever draws a mask."""
        return self._rate > 0

    def start_step(self, step: int, part: BatchPart | None = None) -> None:
        """Start a training step, or a part of its batch; the masks that follow are those of it."""
        self._part = part
        if self._rate:
            self._generator = np.random.default_rng((self._seed, step))

    def forward(self, values: Tensor) -> Tensor:
        """Drop some of the values (adapters, batch or rows of the batch, ...)."""
        if not self._rate or not self.training:
            return values
        shape = values.shape[:2] if self._by_sample else values.shape
        part = self._part or BatchPart(0, shape[1], shape[1])
        tokens = shape[1] // len(part)
        drawn = self._generator.random((shape[0], part.total * tokens, *shape[2:]))
        kept = torch.from_numpy(drawn[:, part.start * tokens : part.stop * tokens] >= self._rate)
        factors = kept.to(values) / (1 - self._rate)
        return values * factors.view(*shape, *[1] * (values.ndim - len(shape)))

    def extra_repr(self) -> str:
        return f"{self._rate}"


def check_rate(name: str, rate: Any) -> None:
    """Check a rate of dropping.

    Raises
    ------
    PlacementError
        If it is not a number from 0 to below 1.

    Examples
    --------
    >>> check_rate("drop", 0.1)
    >>> try:
    ...     check_rate("drop", 1)
    ... except PlacementError as error:
    ...     print(error)
    drop=1 must be a number from 0 to below 1
    """
    if not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise PlacementError(f"{name}={rate} must be a number from 0 to below 1")
