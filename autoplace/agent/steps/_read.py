"""Decode the first images of a task, so that most problems with them are found early."""

from __future__ import annotations

from autoplace.agent.steps._progress import Progress
from autoplace.training import Deadline, Task


def read_images(task: Task, progress: Progress, deadline: Deadline | None = None) -> None:
    """Decode some images of each split and report problems.

    Raises
    ------
    DataError
        More images are unreadable than the settings allow.
    DeadlineReachedError
        The time budget ran out.
    """
    progress.stage(f"Reading the first images of {task.data.name}")
    task.read(deadline)
    bad, equal = task.data.bad_images(), task.data.duplicates()
    if bad:
        progress.note(f"{len(bad)} images cannot be read and are skipped, e.g. {bad[0].path}")
    if equal:
        progress.note(
            f"{len(equal)} images occur in more than one split; test results may be too good"
        )
