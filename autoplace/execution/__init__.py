"""Runs trials and turns whatever happens to them into outcomes."""

from autoplace.execution._outcome import TrialOutcome, TrialRequest
from autoplace.execution._serial import SerialExecutor

__all__ = ["SerialExecutor", "TrialOutcome", "TrialRequest"]
