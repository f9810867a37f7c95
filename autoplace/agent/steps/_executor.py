"""Choose how trials run."""

from __future__ import annotations

from autoplace.agent.steps._progress import Progress
from autoplace.execution import Executor, InProcessExecutor, count_side_by_side
from autoplace.settings import TrialSettings
from autoplace.training import Deadline, Task


def create_executor(
    task: Task, settings: TrialSettings, deadline: Deadline, progress: Progress
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
    """
    count = count_side_by_side(
        settings.parallel_placements, task, settings.batch_size, progress.note
    )
    return InProcessExecutor(task, settings, deadline, side_by_side=count, notify=progress.note)
