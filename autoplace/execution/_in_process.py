"""Trials in this process, one alone or several side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from autoplace.errors import UserError
from autoplace.execution._executor import Executor, TrialEvent, TrialStarted
from autoplace.settings import TrialSettings
from autoplace.training import Deadline, Epoch, Outcome, Task, Trial, open_outcome, train
from predictors.vocabulary import Status


class InProcessExecutor(Executor):
    """Runs trials in this process, `side_by_side` of them at a time.

    Where trials do not run together, for want of memory say, they run in two halves.

    Parameters
    ----------
    task : Task
        What the placements are trained on.
    settings : TrialSettings
        How each is trained.
    deadline : Deadline
        When to stop.
    side_by_side : int, default=1
        Trials that run together.
    notify : callable, optional
        Called with a sentence where trials cannot run side by side as asked.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> task = open_task("builtin:digits")
    >>> executor = InProcessExecutor(task, TrialSettings(epochs=1), Deadline())
    >>> [type(event).__name__ for event in executor.run([Trial(Placement(), seed=0)])]
    ['TrialStarted', 'Epoch', 'Outcome']
    """

    def __init__(
        self,
        task: Task,
        settings: TrialSettings,
        deadline: Deadline,
        *,
        side_by_side: int = 1,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._task = task
        self._settings = settings
        self._deadline = deadline
        self._side_by_side = side_by_side
        self._notify = notify

    def run(self, trials: Sequence[Trial]) -> Iterator[TrialEvent]:
        """See `Executor.run`; outcomes come in the order of the trials."""
        for first in range(0, len(trials), self._side_by_side):
            if self._deadline.passed:
                return
            group = trials[first : first + self._side_by_side]
            yield from map(TrialStarted, group)
            seen: set[tuple[Trial, int]] = set()
            for event in self._train(group):
                # Trials that run again in halves repeat epochs that were yielded already.
                if isinstance(event, Epoch):
                    if (event.trial, event.number) in seen:
                        continue
                    seen.add((event.trial, event.number))
                yield event

    def _train(self, trials: Sequence[Trial]) -> Iterator[Epoch | Outcome]:
        try:
            yield from train(self._task, trials, self._settings, deadline=self._deadline)
            return
        except UserError:
            raise
        except (ArithmeticError, RuntimeError, MemoryError) as error:
            reason = f"{type(error).__name__}: {error}"
        # Outside the `except`: the error holds on to what the trials have in memory.
        if len(trials) == 1:
            outcome = open_outcome(self._task, trials[0], self._settings)
            yield replace(outcome, status=Status.FAILED, reason=reason)
            return
        self._notify(
            f"{len(trials)} placements side by side: {reason.splitlines()[0]}; "
            "running them in two halves"
        )
        half = len(trials) // 2
        yield from self._train(trials[:half])
        yield from self._train(trials[half:])
