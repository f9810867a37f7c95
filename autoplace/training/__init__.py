"""Trials: the loop, what it reads and where that is cached, scores and the deadline."""

from autoplace.training._cache import ActivationCache, FrozenBatch
from autoplace.training._comparison import Interval, paired_difference
from autoplace.training._deadline import Deadline, DeadlineReachedError
from autoplace.training._device import resolve_device
from autoplace.training._learning_rate import LearningRate, learning_rate
from autoplace.training._memory import CacheMemory
from autoplace.training._models import (
    fresh_model,
    predict_split,
    seconds_per_step,
    trained_model,
)
from autoplace.training._scores import Scores, metric_of_counts, metric_value, score
from autoplace.training._spill import Spill
from autoplace.training._task import Task, TaskSummary
from autoplace.training._trial import Epoch, Outcome, Trial
from autoplace.training._trials import open_outcome, run_trial, run_trials, train

__all__ = [
    "ActivationCache",
    "CacheMemory",
    "Deadline",
    "DeadlineReachedError",
    "Epoch",
    "FrozenBatch",
    "Interval",
    "LearningRate",
    "Outcome",
    "Scores",
    "Spill",
    "Task",
    "TaskSummary",
    "Trial",
    "fresh_model",
    "learning_rate",
    "metric_of_counts",
    "metric_value",
    "open_outcome",
    "paired_difference",
    "predict_split",
    "resolve_device",
    "run_trial",
    "run_trials",
    "score",
    "seconds_per_step",
    "train",
    "trained_model",
]
