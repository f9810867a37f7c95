"""Runs trials; whatever happens to one of them becomes its outcome."""

from autoplace.execution._executor import Executor, TrialEvent, TrialStarted
from autoplace.execution._in_process import InProcessExecutor
from autoplace.execution._ray import RayExecutor
from autoplace.execution._ray_pool import WorkerPool
from autoplace.execution._side_by_side import (
    count_cores,
    count_side_by_side,
    parse_side_by_side,
)
from autoplace.execution._threads import map_side_by_side

__all__ = [
    "Executor",
    "InProcessExecutor",
    "RayExecutor",
    "TrialEvent",
    "TrialStarted",
    "WorkerPool",
    "count_cores",
    "count_side_by_side",
    "map_side_by_side",
    "parse_side_by_side",
]
