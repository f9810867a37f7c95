"""The schedule of the learning rate."""

from __future__ import annotations

import math

WARM_UP = 0.1  # share of the steps


class WarmUpAndCosine:
    """Factor on the learning rate at each step, from near 0 to 1 and back to 0.

    Parameters
    ----------
    steps : int
        Steps of the whole trial.

    Examples
    --------
    >>> schedule = WarmUpAndCosine(steps=20)
    >>> [round(schedule.factor(step), 2) for step in (0, 1, 10, 19)]
    [0.5, 1.0, 0.59, 0.01]
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._warm = max(1, round(WARM_UP * steps))

    def factor(self, step: int) -> float:
        """Return the factor at a step, counted from 0."""
        if step < self._warm:
            return (step + 1) / self._warm
        share = (step - self._warm) / max(1, self._steps - self._warm)
        return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
