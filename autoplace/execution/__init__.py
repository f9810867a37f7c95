"""Runs trials and turns whatever happens to them into outcomes."""

from autoplace.execution._in_process import InProcessExecutor
from autoplace.execution._outcome import TrialOutcome, TrialRequest
from autoplace.execution._side_by_side import count_side_by_side, parse_side_by_side

__all__ = [
    "InProcessExecutor",
    "TrialOutcome",
    "TrialRequest",
    "count_side_by_side",
    "parse_side_by_side",
]
