"""What a pick costs: measured in trainings of every-block, and set aside for the test."""

from __future__ import annotations

import time

import numpy as np
import torch

from autoplace.agent.steps._entrants import Entrants
from autoplace.model import frozen_features
from autoplace.settings import PickSettings
from autoplace.training import Deadline, Task, seconds_per_image, training_images

TIMED_STEPS = 8
TIMED_IMAGES = 64
SHARE = 0.5  # of the time left that the test may set aside


def every_block_seconds(
    task: Task, entrants: Entrants, settings: PickSettings, deadline: Deadline | None = None
) -> float:
    """Estimate the seconds of training every-block alone, with all cores, from a few steps.

    It is the unit in which a pick's cost is stated. Without every-block, it is LoRA in every block
    if that may win, or else head-only.

    Raises
    ------
    DeadlineReachedError
        The time budget ran out.
    """
    placement = (entrants.may_win or [entrants.head_only])[0].placement
    seconds = seconds_per_image(task, placement, settings.batch_size, TIMED_STEPS, deadline)
    return float(np.median(seconds)) * training_images(task, settings)


def held_back(
    task: Task, entrants: Entrants, settings: PickSettings, deadline: Deadline
) -> Deadline:
    """Return an earlier deadline for training, so that a large test split still fits the budget.

    One batch of test images is timed, from the file to the features.
    """
    if deadline.passed or not np.isfinite(deadline.left):
        return deadline
    rows = np.arange(min(TIMED_IMAGES, len(task.data.test)))
    started = time.perf_counter()
    with torch.inference_mode():
        embedded = task.chain.embed(task.data.test.load(rows).images.to(task.device))
        frozen_features(task.chain, embedded)
    per_image = (time.perf_counter() - started) / len(rows)
    models = 1 + settings.seeds * (1 + len(entrants.baselines))
    needed = per_image * (len(task.data.test) * models + len(task.data.fit))
    return deadline.linked(deadline.left - min(needed, SHARE * deadline.left))
