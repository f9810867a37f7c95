"""Trials: the loop, what it reads and where that is cached, scores and the deadline."""

from autoplace.training._adamw import BETAS, OPTIMISER
from autoplace.training._cache import ActivationCache
from autoplace.training._comparison import Interval, paired_difference
from autoplace.training._deadline import Deadline, DeadlineReachedError
from autoplace.training._device import resolve_device
from autoplace.training._folds import SplitRows, count_folds, split_rows
from autoplace.training._frozen_batch import FrozenBatch
from autoplace.training._job import Job, epochs_of, trial_of
from autoplace.training._knn import knn_logits
from autoplace.training._losses import class_weights
from autoplace.training._memory import CacheMemory
from autoplace.training._models import (
    fresh_model,
    predict_split,
    prepare,
    seconds_per_image,
    trained_model,
    training_images,
)
from autoplace.training._outcome import open_outcome
from autoplace.training._precision import full_precision
from autoplace.training._remedy import Cause, Remedy
from autoplace.training._schedule import WarmUpAndCosine
from autoplace.training._scores import (
    Scores,
    class_report,
    confusion,
    losses,
    metric_by_image,
    metric_of_counts,
    metric_value,
    score,
)
from autoplace.training._spill import Spill
from autoplace.training._start import start_outcome, start_state
from autoplace.training._task import Task, TaskSummary
from autoplace.training._task_source import TaskSource
from autoplace.training._trial import Checkpoint, Epoch, Images, Outcome, Trial
from autoplace.training._trials import run_trial, run_trials, train, train_model

__all__ = [
    "BETAS",
    "OPTIMISER",
    "ActivationCache",
    "CacheMemory",
    "Cause",
    "Checkpoint",
    "Deadline",
    "DeadlineReachedError",
    "Epoch",
    "FrozenBatch",
    "Images",
    "Interval",
    "Job",
    "Outcome",
    "Remedy",
    "Scores",
    "Spill",
    "SplitRows",
    "Task",
    "TaskSource",
    "TaskSummary",
    "Trial",
    "WarmUpAndCosine",
    "class_report",
    "class_weights",
    "confusion",
    "count_folds",
    "epochs_of",
    "fresh_model",
    "full_precision",
    "knn_logits",
    "losses",
    "metric_by_image",
    "metric_of_counts",
    "metric_value",
    "open_outcome",
    "paired_difference",
    "predict_split",
    "prepare",
    "resolve_device",
    "run_trial",
    "run_trials",
    "score",
    "seconds_per_image",
    "split_rows",
    "start_outcome",
    "start_state",
    "train",
    "train_model",
    "trained_model",
    "training_images",
    "trial_of",
]
