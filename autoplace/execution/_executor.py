"""What an executor is: trials go in, what happens to them comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from autoplace.training import Epoch, Job, Outcome, Trial


@dataclass(frozen=True)
class TrialStarted:
    """A trial starts.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> print(TrialStarted(Trial(Placement(), seed=0)).trial)
    panel head-only (seed 0)
    """

    trial: Trial


TrialEvent = TrialStarted | Epoch | Outcome


class Executor(ABC):
    """Runs the trials of one task; a trial that breaks is an outcome, not an error.

    Attributes
    ----------
    replayed : int
        Epochs that were yielded from files, so that no time was spent on them.

    Examples
    --------
    >>> from autoplace.execution import InProcessExecutor
    >>> issubclass(InProcessExecutor, Executor)
    True
    """

    replayed: int = 0

    @abstractmethod
    def run(
        self, jobs: Sequence[Job], until: int | None = None
    ) -> Generator[TrialEvent, None, None]:
        """Run distinct trials and yield what happens to them as it happens.

        Parameters
        ----------
        jobs : sequence of Trial or Outcome
            In the order in which they should start. A paused outcome continues its trial; one
            without epochs starts it.
        until : int, optional
            Pause each trial after this epoch.

        Yields
        ------
        TrialStarted, Epoch or Outcome
            Of each trial its start (unless it continues), its epochs and its outcome, in this
            order; events of different trials may mix. A trial that the deadline stops ends as
            `interrupted`; one that the deadline keeps from starting has no events.

        Raises
        ------
        UserError
            What the user can fix, such as images that cannot be read.
        """
