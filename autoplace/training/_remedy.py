"""Remedies: how a trial runs again after a failure that can be cured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

HALF = 0.5  # of the learning rate


class Cause(StrEnum):
    """Why a trial failed, where running it again in another way may help.

    Examples
    --------
    >>> [cause.value for cause in Cause]
    ['memory', 'divergence']
    """

    MEMORY = "memory"  # the device's is short
    DIVERGENCE = "divergence"  # the loss became NaN or infinite


@dataclass(frozen=True)
class Remedy:
    """How a trial runs after a failure, where that differs from how it was asked for.

    Each cause is treated once: after a second failure of the same cause the trial has failed.

    Parameters
    ----------
    parts : int, default=1
        Parts that each batch is divided into. Their gradients are added up, so that a step is the
        same as with the whole batch, up to rounding.
    rate_factor : float, default=1.0
        Factor of all learning rates.
    float32 : bool, default=False
        Whether to compute in float32 whatever the precision of the task, and from activations that
        are cached in float32.

    Examples
    --------
    >>> remedy = Remedy().after(Cause.MEMORY)
    >>> print(remedy)
    each batch in 2 parts
    >>> print(remedy.after(Cause.DIVERGENCE))
    each batch in 2 parts, in float32 at 0.5 times the learning rate
    >>> remedy.after(Cause.MEMORY) is None
    True
    """

    parts: int = 1
    rate_factor: float = 1.0
    float32: bool = False

    def after(self, cause: Cause) -> Remedy | None:
        """Return the remedy to try after a failure; None if that was tried."""
        if cause is Cause.MEMORY:
            return replace(self, parts=2) if self.parts == 1 else None
        if self.float32:
            return None
        return replace(self, rate_factor=HALF, float32=True)

    def __str__(self) -> str:
        parts = []
        if self.parts > 1:
            parts.append(f"each batch in {self.parts} parts")
        if self.float32:
            parts.append(f"in float32 at {self.rate_factor:g} times the learning rate")
        return ", ".join(parts)
