"""Trials in this process, one alone or several side by side."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby

import numpy as np

from autoplace.errors import UserError
from autoplace.execution._executor import Executor, TrialEvent, TrialStarted
from autoplace.execution._threads import run_in_threads
from autoplace.settings import TrialSettings
from autoplace.training import (
    Deadline,
    DeadlineReachedError,
    Epoch,
    Outcome,
    Task,
    Trial,
    open_outcome,
    prepare,
    split_rows,
    train,
)
from predictors.vocabulary import Status

Job = Trial | Outcome


class InProcessExecutor(Executor):
    """Runs trials in this process, `side_by_side` of them at a time.

    On a CPU each of them has a thread of its own and computes on one core: the matrices of a
    trial are too small for several cores, and a thread that waits for another would keep its core
    busy. A trial then gives the same result, bit for bit, whatever runs beside it. On other
    devices, trials are trained as one population; if they cannot run together, for example because
    memory is short, they run in two halves.

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
            try:
                trials = [job if isinstance(job, Trial) else job.trial for job in jobs]
                parts = [split_rows(self._task, each) for each in {t.images for t in trials}]
                rows = np.unique(np.concatenate([r for each in parts for r in vars(each).values()]))
                prepare(self._task, [trial.placement for trial in trials], self._deadline, rows)
            except DeadlineReachedError:
                return
            yield from run_in_threads(
                [partial(self._run_group, [job], until) for job in jobs],
                self._side_by_side,
                self._deadline,
            )
            return
        for group in _groups(jobs, self._side_by_side):
            yield from self._run_group(group, until, self._deadline)

    def _run_group(
        self, group: Sequence[Job], until: int | None, deadline: Deadline
    ) -> Iterator[TrialEvent]:
        if deadline.passed:
            return
        for job in group:
            if isinstance(job, Trial):
                yield TrialStarted(job)
            elif not job.epochs:  # starts from given adapters
                yield TrialStarted(job.trial)
        seen: set[tuple[Trial, int]] = set()
        for event in self._train(group, until, deadline):
            # Trials that run again in halves repeat epochs that were yielded already.
            if isinstance(event, Epoch):
                if (event.trial, event.number) in seen:
                    continue
                seen.add((event.trial, event.number))
            yield event

    def _train(
        self, jobs: Sequence[Job], until: int | None, deadline: Deadline
    ) -> Iterator[Epoch | Outcome]:
        try:
            yield from train(self._task, jobs, self._settings, until=until, deadline=deadline)
            return
        except UserError:
            raise
        except (ArithmeticError, RuntimeError, MemoryError) as error:
            reason = f"{type(error).__name__}: {error}"
        # Outside the `except`: the error holds on to what the trials have in memory.
        if len(jobs) == 1:
            (job,) = jobs
            outcome = open_outcome(self._task, job) if isinstance(job, Trial) else job
            yield replace(outcome, status=Status.FAILED, reason=reason, checkpoint=None)
            return
        self._notify(
            f"{len(jobs)} placements side by side: {reason.splitlines()[0]}; "
            "running them in two halves"
        )
        half = len(jobs) // 2
        yield from self._train(jobs[:half], until, deadline)
        yield from self._train(jobs[half:], until, deadline)


def _groups(jobs: Sequence[Job], size: int) -> Iterator[list[Job]]:
    """Divide jobs into consecutive groups that can be trained as one population."""

    def alike(job: Job) -> tuple[object, ...]:
        trial = job if isinstance(job, Trial) else job.trial
        finished = 0 if isinstance(job, Trial) else len(job.epochs)
        # A tuned backbone has sub-layers of its own, so it trains alone.
        own = None if trial.is_placement else id(job)
        return (trial.epochs, trial.images, finished, own)

    for _, group in groupby(jobs, key=alike):
        members = list(group)
        for first in range(0, len(members), size):
            yield members[first : first + size]
