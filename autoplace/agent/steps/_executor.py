"""Who runs the trials."""

from __future__ import annotations

from autoplace.agent._progress import Progress
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
        What placements are trained on.
    settings : TrialSettings
        How each is trained.
    deadline : Deadline
        When to stop.
    progress : Progress
        Told where trials cannot run as asked, or at a rate that nobody tuned.
    side_by_side : str, default="1"
        Trials that run together: a number, or `auto`.
    """
    if learning_rate(task.chain.name, 1, settings.lr).source == "untuned":
        progress.note(
            f"no learning rate was tuned for {task.chain.name}: a cautious one is used; "
            "--lr sets another"
        )
    count = count_side_by_side(side_by_side, task, settings.batch_size, progress.note)
    return InProcessExecutor(task, settings, deadline, side_by_side=count, notify=progress.note)
