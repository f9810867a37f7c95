"""Runs trials; whatever happens to one of them becomes its outcome."""

from autoplace.execution._executor import Executor, TrialEvent, TrialStarted
from autoplace.execution._in_process import InProcessExecutor
from autoplace.execution._ray import RayExecutor
from autoplace.execution._ray_pool import WorkerPool
from autoplace.execution._saved import SavingExecutor
from autoplace.execution._side_by_side import (
    count_cores,
    count_side_by_side,
    parse_side_by_side,
)
from autoplace.execution._threads import map_side_by_side
from autoplace.execution._trial_form import trial_from_dict, trial_key, trial_to_dict

__all__ = [
    "Executor",
    "InProcessExecutor",
    "RayExecutor",
    "SavingExecutor",
    "TrialEvent",
    "TrialStarted",
    "WorkerPool",
    "count_cores",
    "count_side_by_side",
    "map_side_by_side",
    "parse_side_by_side",
    "trial_from_dict",
    "trial_key",
    "trial_to_dict",
]
