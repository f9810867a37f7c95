"""Choose how trials run."""

from __future__ import annotations

from autoplace.agent.steps._progress import Progress
from autoplace.execution import (
    Executor,
    InProcessExecutor,
    RayExecutor,
    WorkerPool,
    count_side_by_side,
)
from autoplace.settings import ExecutorSettings, TrialSettings
from autoplace.training import Deadline, Task, resolve_device


def create_pool(settings: ExecutorSettings, device: str) -> WorkerPool | None:
    """Connect to Ray and see that the workers fit, if there are to be any; none is started yet.

    Parameters
    ----------
    settings : ExecutorSettings
        How many workers, and where.
    device : str
        The option `--device`.

    Raises
    ------
    UserError
        Ray is not installed, no cluster can be reached, or the workers do not fit.
    """
    if not settings.uses_ray:
        return None
    return WorkerPool(settings, on_gpu=resolve_device(device).type == "cuda")


def create_executor(
    task: Task,
    settings: TrialSettings,
    deadline: Deadline,
    progress: Progress,
    pool: WorkerPool | None = None,
) -> Executor:
    """Create the executor of a task's trials.

    Parameters
    ----------
    task : Task
        The task to train placements on.
    settings : TrialSettings
        How each placement is trained, and how many side by side.
    deadline : Deadline
        When to stop.
    progress : Progress
        Notified if trials cannot run as requested.
    pool : WorkerPool, optional
        The workers that train; default: this process.
    """
    if pool is not None:
        return RayExecutor(pool, task, settings, deadline, notify=progress.note)
    count = count_side_by_side(
        settings.parallel_placements, task, settings.batch_size, progress.note
    )
    return InProcessExecutor(task, settings, deadline, side_by_side=count, notify=progress.note)
