"""Choose how trials run."""

from __future__ import annotations

from autoplace.agent.steps._progress import Progress
from autoplace.execution import Executor, InProcessExecutor, count_side_by_side
from autoplace.settings import TrialSettings
from autoplace.training import Deadline, Task, learning_rate


def create_executor(
    task: Task,
    settings: TrialSettings,
    deadline: Deadline,
    progress: Progress,
    side_by_side: str = "1",
) -> Executor:
    """Create the executor of a task's trials.

    Parameters
    ----------
    task : Task
        The task to train placements on.
    settings : TrialSettings
        How each placement is trained.
    deadline : Deadline
        When to stop.
    progress : Progress
        Notified if trials cannot run as requested, or if no learning rate was tuned for them.
    side_by_side : str, default="1"
        Number of trials that run together, or `auto`.
    """
    if learning_rate(task.chain.name, 1, settings.lr).source == "untuned":
        progress.note(
            f"no learning rate was tuned for {task.chain.name}; using a cautious one "
            "(--lr sets another)"
        )
    count = count_side_by_side(side_by_side, task, settings.batch_size, progress.note)
    return InProcessExecutor(task, settings, deadline, side_by_side=count, notify=progress.note)
