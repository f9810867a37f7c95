"""The outcome of a trial before its first step."""

from __future__ import annotations

from autoplace.adapters import count_parameters
from autoplace.model import FullTuning
from autoplace.training._task import Task
from autoplace.training._trial import Outcome, Trial


def open_outcome(task: Task, trial: Trial) -> Outcome:
    """Outcome of a trial that has not been trained yet.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> trial = Trial(Placement.parse("7>3@bottleneck:r=2"), seed=0)
    >>> open_outcome(open_task("builtin:digits"), trial).parameters
    386
    """
    if isinstance(trial.placement, FullTuning):
        return Outcome(trial, trial.placement.count_parameters(task.chain))
    return Outcome(trial, count_parameters(trial.placement, task.chain.shape))
