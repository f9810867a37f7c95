"""Trials on workers, which are processes on this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from autoplace.errors import UserError
from autoplace.execution._executor import Executor, TrialEvent
from autoplace.execution._ray_pool import WorkerPool
from autoplace.execution._ray_round import RayRound
from autoplace.execution._ray_worker import TaskOrder
from autoplace.settings import TrialSettings
from autoplace.training import Deadline, Job, Task


class RayExecutor(Executor):
    """Runs trials on long-lived workers of Ray.

    Each worker opens the task once, from the same files, and fills a cache of its own. It then
    trains trials as they are handed out; adapters and metrics come back. On a CPU each trial has
    one core and gives the same result, bit for bit, as in `InProcessExecutor`. A trial whose
    worker or node dies is tried once more on another.

    Parameters
    ----------
    pool : WorkerPool
        The workers.
    task : Task
        What the placements are trained on.
    settings : TrialSettings
        How each is trained.
    deadline : Deadline
        When to stop, here and in the workers.
    notify : callable, optional
        Called with a sentence where trials cannot run as asked, or a worker is lost.

    Raises
    ------
    UserError
        The task was not opened from files that workers can open, too.

    Examples
    --------
    >>> from autoplace.execution import Executor
    >>> issubclass(RayExecutor, Executor)
    True
    """

    def __init__(
        self,
        pool: WorkerPool,
        task: Task,
        settings: TrialSettings,
        deadline: Deadline,
        *,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:
        if task.source is None:
            raise UserError("workers cannot open this task; open it with autoplace.agent.open_task")
        self._pool = pool
        self._task = task
        self._deadline = deadline
        self._notify = notify
        source = replace(
            task.source,
            settings=replace(task.source.settings, device=pool.device),
            # What this process has decided, and records, whatever device it has itself.
            inputs=replace(task.source.inputs, precision=task.precision),
        )
        self._order = TaskOrder(source, task.fingerprint, settings)

    def run(
        self, jobs: Sequence[Job], until: int | None = None
    ) -> Generator[TrialEvent, None, None]:
        """See `Executor.run`."""
        if self._deadline.passed or not jobs:
            return
        self._pool.open_task(self._order)
        round_ = RayRound(self._pool, self._task, jobs, until, self._deadline, self._notify)
        yield from round_.events()
