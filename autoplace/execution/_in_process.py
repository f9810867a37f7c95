"""Trials in this process, one alone or several side by side."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial

from autoplace.execution._attempts import attempt
from autoplace.execution._executor import Executor, TrialEvent, TrialStarted
from autoplace.execution._groups import groups
from autoplace.execution._prepare import prepare_trials
from autoplace.execution._threads import run_in_threads
from autoplace.settings import TrialSettings
from autoplace.training import Deadline, DeadlineReachedError, Job, Task, epochs_of, trial_of


class InProcessExecutor(Executor):
    """Runs trials in this process, `side_by_side` of them at a time.

    On a CPU each of them has a thread of its own and computes on one core: the matrices of a
    trial are too small for several cores, and a thread that waits for another would keep its core
    busy. A trial then gives the same result, bit for bit, whatever runs beside it. On other
    devices, trials are trained as one population. What becomes of trials that break is in
    `attempt`.

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
    threads : bool, optional
        Whether trials that run together have threads of their own; default: on a CPU.
    notify : callable, optional
        Called with a sentence where trials cannot run side by side as asked.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> from autoplace.training import Trial
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
        threads: bool | None = None,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._task = task
        self._settings = settings
        self._deadline = deadline
        self._side_by_side = side_by_side
        self._threads = task.device.type == "cpu" if threads is None else threads
        self._notify = notify

    def run(
        self, jobs: Sequence[Job], until: int | None = None
    ) -> Generator[TrialEvent, None, None]:
        """See `Executor.run`."""
        if self._threads and self._side_by_side > 1:
            trials = [trial_of(job) for job in jobs]
            try:
                prepare_trials(self._task, trials, self._deadline, self._notify)
            except DeadlineReachedError:
                return
            yield from run_in_threads(
                [partial(self._run_group, [job], until) for job in jobs],
                self._side_by_side,
                self._deadline,
            )
            return
        for group in groups(jobs, self._side_by_side):
            yield from self._run_group(group, until, self._deadline)

    def _run_group(
        self, group: Sequence[Job], until: int | None, deadline: Deadline
    ) -> Iterator[TrialEvent]:
        if deadline.passed:
            return
        for job in group:
            if not epochs_of(job):  # an outcome without epochs starts from given adapters
                yield TrialStarted(trial_of(job))
        yield from attempt(self._task, group, self._settings, deadline, self._notify, until=until)
