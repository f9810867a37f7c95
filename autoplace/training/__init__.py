"""Trials: the loop, what it reads and where that is cached, scores and the deadline."""

from autoplace.training._cache import ActivationCache, FrozenBatch
from autoplace.training._deadline import Deadline, DeadlineReachedError
from autoplace.training._device import resolve_device
from autoplace.training._learning_rate import LearningRate, learning_rate
from autoplace.training._models import (
    fresh_model,
    predict_split,
    seconds_per_step,
    trained_model,
)
from autoplace.training._scores import Scores, metric_of_counts, metric_value, score
from autoplace.training._spill import Spill
from autoplace.training._task import Task
from autoplace.training._trial_result import Epoch, Trial, TrialFailure, TrialResult
from autoplace.training._trials import run_trial, run_trials

__all__ = [
    "ActivationCache",
    "Deadline",
    "DeadlineReachedError",
    "Epoch",
    "FrozenBatch",
    "LearningRate",
    "Scores",
    "Spill",
    "Task",
    "Trial",
    "TrialFailure",
    "TrialResult",
    "fresh_model",
    "learning_rate",
    "metric_of_counts",
    "metric_value",
    "predict_split",
    "resolve_device",
    "run_trial",
    "run_trials",
    "score",
    "seconds_per_step",
    "trained_model",
]
