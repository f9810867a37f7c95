"""What an executor is: it runs the trials of one task and yields what comes of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from autoplace.training import Epoch, Outcome, Trial


class TrialObserver:
    """Told by an executor what happens to trials while they run; does nothing by default.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> from autoplace.training import Trial
    >>> class Printer(TrialObserver):
    ...     def start_trial(self, trial):
    ...         print(f"started {trial}")
    >>> Printer().start_trial(Trial(Placement(), seed=0))
    started panel head-only (seed 0)
    """

    def start_trial(self, trial: Trial) -> None:
        """Take note that a trial starts."""

    def log_epoch(self, trial: Trial, epoch: Epoch) -> None:
        """Take note of an epoch of a trial."""


class Executor(ABC):
    """Runs the trials of one task; a trial that breaks is an outcome, not an error.

    Examples
    --------
    >>> from autoplace.execution import InProcessExecutor
    >>> issubclass(InProcessExecutor, Executor)
    True
    """

    @abstractmethod
    def run(self, trials: Sequence[Trial], observer: TrialObserver) -> Iterator[Outcome]:
        """Run distinct trials and yield the outcome of each as it comes.

        A trial that the deadline interrupts is yielded as `interrupted`; one that it keeps from
        starting is not yielded.

        Parameters
        ----------
        trials : sequence of Trial
            In the order in which they should start.
        observer : TrialObserver
            Told of starts and epochs.

        Yields
        ------
        Outcome
            Done, failed or interrupted.

        Raises
        ------
        UserError
            What the user can mend, such as images that cannot be read.
        """
