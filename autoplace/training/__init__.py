"""One trial: the loop, its schedule, the activation cache, scores and the deadline."""

from autoplace.training._cache import ActivationCache
from autoplace.training._deadline import Deadline, DeadlineReachedError
from autoplace.training._device import resolve_device
from autoplace.training._inputs import CachedInputs, ImageInputs, Inputs
from autoplace.training._learning_rate import LearningRate, learning_rate
from autoplace.training._scores import Scores, metric_of_counts, metric_value, score
from autoplace.training._task import Task
from autoplace.training._trial import (
    Epoch,
    TrialResult,
    fresh_model,
    predict_split,
    run_trial,
    seconds_per_step,
    trained_model,
)

__all__ = [
    "ActivationCache",
    "CachedInputs",
    "Deadline",
    "DeadlineReachedError",
    "Epoch",
    "ImageInputs",
    "Inputs",
    "LearningRate",
    "Scores",
    "Task",
    "TrialResult",
    "fresh_model",
    "learning_rate",
    "metric_of_counts",
    "metric_value",
    "predict_split",
    "resolve_device",
    "run_trial",
    "score",
    "seconds_per_step",
    "trained_model",
]
