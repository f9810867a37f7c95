"""What is asked of an executor, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autoplace.placement import Placement
from autoplace.training import TrialResult

Status = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True)
class TrialRequest:
    """A placement to be fine-tuned with a seed, and how it came to be chosen.

    `propensity` is the probability with which the placement was proposed; None where it was
    picked by prediction, 1 for what always runs.
    """

    placement: Placement
    seed: int
    role: str
    chosen_by: str
    propensity: float | None = None


@dataclass(frozen=True)
class TrialOutcome:
    """A finished request: `result` where it is done, `reason` where it failed."""

    request: TrialRequest
    status: Status
    result: TrialResult | None = None
    reason: str | None = None
