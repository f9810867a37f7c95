"""The error of this package."""

from __future__ import annotations

from collections.abc import Sequence

from autoplace.training import Outcome


class NothingFinishedError(Exception):
    """No trial finished: the deadline came too early, or every trial failed.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Outcomes of the trials that were started.
    deadline_reached : bool
        Whether the time budget is the reason.

    Examples
    --------
    >>> print(NothingFinishedError([], deadline_reached=True))
    no trial finished within --budget; give it more time
    """

    def __init__(self, outcomes: Sequence[Outcome], deadline_reached: bool) -> None:
        reasons = "; ".join(sorted({outcome.reason or outcome.status for outcome in outcomes}))
        super().__init__(
            "no trial finished within --budget; give it more time"
            if deadline_reached
            else f"no trial finished: {reasons}"
        )
        self.deadline_reached = deadline_reached
