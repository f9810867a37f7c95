"""Compute what the trials of a round read of the frozen chain, all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from autoplace.execution._attempts import last_lines
from autoplace.training import Deadline, Task, Trial, prepare, split_rows


def prepare_trials(
    task: Task, trials: Sequence[Trial], deadline: Deadline, notify: Callable[[str], None]
) -> None:
    """Compute the frozen values of all images that some trials read, in one pass.

    If memory is short, each trial computes its own; `notify` is called with a sentence.

    Raises
    ------
    DeadlineReachedError
        The time budget is used up.
    """
    parts = [split_rows(task, images) for images in {trial.images for trial in trials}]
    rows = np.unique(np.concatenate([r for part in parts for r in vars(part).values()]))
    try:
        prepare(task, [trial.placement for trial in trials], deadline, rows)
    except (RuntimeError, MemoryError) as error:
        notify(f"activations are not computed in advance: {last_lines(error)}")
