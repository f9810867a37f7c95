"""Models before and after a trial, and what they predict."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from autoplace.data import random_state
from autoplace.model import AdaptedModel, FullTuning, Schedule, TunedModel
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training._deadline import Deadline
from autoplace.training._precision import autocast, full_precision
from autoplace.training._task import Task
from autoplace.training._trial import Outcome

PREDICTION_BATCH = 256


def fresh_model(
    task: Task,
    placement: Placement | FullTuning,
    seed: int,
    head_rows: np.ndarray | None = None,
    deadline: Deadline | None = None,
) -> AdaptedModel | TunedModel:
    """Untrained model of a placement, with a logistic head on the frozen features.

    Parameters
    ----------
    task : Task
        Data and backbone.
    placement : Placement or FullTuning
        Where adapters go, or how the backbone itself is tuned.
    seed : int
        Of the adapters; the caller's random state is left alone.
    head_rows : ndarray (rows,), optional
        Rows of `task.data.fit` that the head may be fitted on; default: the training images.
    deadline : Deadline, optional
        Checked while images for the head are read.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> model = fresh_model(open_task("builtin:digits"), Placement.parse("7>3"), seed=0)
    >>> len(model.adapters), model.head.out_features
    (1, 10)
    """
    head = task.first_head(task.rows("train") if head_rows is None else head_rows, deadline)
    model = _create(task, placement, seed)
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(head.weight))
        model.head.bias.copy_(torch.from_numpy(head.bias))
    return model


def _create(task: Task, placement: Placement | FullTuning, seed: int) -> AdaptedModel | TunedModel:
    """Create a model; it draws from the global random state, which other threads use as well."""
    with random_state() as seed_all:
        seed_all(seed)
        if isinstance(placement, FullTuning):
            return TunedModel(task.chain, task.data.classes).to(task.device)
        return AdaptedModel(task.chain, placement, task.data.classes).to(task.device)


def trained_model(task: Task, outcome: Outcome) -> AdaptedModel | TunedModel:
    """Model that a finished trial ended with, in evaluation mode.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.training import run_trial
    >>> task = open_task("builtin:digits")
    >>> outcome = run_trial(task, Placement(), TrialSettings(epochs=1), 0, learning_rate=0.01)
    >>> trained_model(task, outcome).training
    False
    """
    model = _create(task, outcome.placement, outcome.trial.seed)
    model.load_trainable_state(outcome.state)
    return model.eval()


def prepare(
    task: Task,
    placements: Sequence[Placement | FullTuning],
    deadline: Deadline | None = None,
    rows: np.ndarray | None = None,
) -> None:
    """In one pass over the images, compute the frozen values that trials will read.

    Otherwise each trial would run the frozen chain for the nodes that only it reads. Augmented
    images change from epoch to epoch, so their values are computed by the trials.

    Parameters
    ----------
    task : Task
        Data and backbone.
    placements : sequence of Placement or FullTuning
        What will be trained.
    deadline : Deadline, optional
        Checked between chunks.
    rows : ndarray (rows,), optional
        Rows of `task.data.fit` that will be read; default: all.

    Raises
    ------
    DeadlineReachedError
        The time budget is used up.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> prepare(open_task("builtin:digits"), [Placement.parse("20>22")])
    """
    if task.augmentation is not None:
        return
    nodes: set[int] = set()
    for placement in placements:
        if isinstance(placement, FullTuning):
            nodes |= set(TunedModel.frozen_nodes)
        else:
            nodes |= set(Schedule.suffix(placement, task.chain.n_nodes).frozen_nodes)
    task.cache("fit").prepare(sorted(nodes), task.rows("fit") if rows is None else rows, deadline)


@torch.no_grad()
def predict_split(
    task: Task, model: AdaptedModel | TunedModel, split: str, deadline: Deadline | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Predict the readable images of a split, in float32 as the saved model will.

    Parameters
    ----------
    task : Task
        Data and backbone.
    model : AdaptedModel
        Set to evaluation mode.
    split : str
        `train`, `val`, `fit`, `test` or `measurement`.
    deadline : Deadline, optional
        Checked between batches.

    Returns
    -------
    logits : ndarray (rows, classes)
    labels : ndarray (rows,)

    Raises
    ------
    DeadlineReachedError
        The time budget is used up.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> task = open_task("builtin:digits")
    >>> logits, labels = predict_split(task, fresh_model(task, Placement(), seed=0), "val")
    >>> logits.shape, bool((logits.argmax(1) == labels).mean() > 0.9)
    ((200, 10), True)
    """
    model.eval()
    logits, labels = [], []
    cache, rows = task.located(split)
    order = torch.from_numpy(rows)
    with full_precision():
        for batch in cache.batches(model.frozen_nodes, order, PREDICTION_BATCH, deadline=deadline):
            logits.append(model.forward_suffix(batch.values).float())
            labels.append(batch.labels)
    return torch.cat(logits).cpu().numpy(), torch.cat(labels).cpu().numpy()


def seconds_per_image(
    task: Task,
    placement: Placement | FullTuning,
    n_images: int,
    steps: int,
    deadline: Deadline | None = None,
) -> list[float]:
    """Time forward and backward passes of a placement over a batch of training images.

    Nothing else of the task is read, so this is quick on any backbone.

    Parameters
    ----------
    task : Task
        Data and backbone.
    placement : Placement or FullTuning
        What would be trained.
    n_images : int
        Images of the batch.
    steps : int
        Passes, after one to warm up.
    deadline : Deadline, optional
        Checked before each pass.

    Returns
    -------
    list of float
        Wall seconds of each pass, divided by the number of images.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> len(seconds_per_image(open_task("builtin:digits"), Placement(), n_images=4, steps=2))
    2
    """
    model = _create(task, placement, seed=0)
    rows = torch.from_numpy(task.rows("train")[:n_images])
    batch = next(task.cache("fit").batches(model.frozen_nodes, rows, len(rows), epoch=0))
    seconds = []
    for _ in range(steps + 1):
        if deadline is not None:
            deadline.check()
        started = time.perf_counter()
        with autocast(task.precision, task.device):
            logits = model.forward_suffix(batch.values)
        functional.cross_entropy(logits.float(), batch.labels).backward()
        if task.device.type == "cuda":
            torch.cuda.synchronize(task.device)
        seconds.append((time.perf_counter() - started) / len(batch.labels))
    return seconds[1:]


def training_images(task: Task, settings: TrialSettings) -> float:
    """Images that a training passes over, validation included at a third of the cost.

    Validation runs forward only, which takes about a third of a training step for each image.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> training_images(open_task("builtin:digits"), TrialSettings(epochs=3))
    2600.0
    """
    return settings.epochs * (len(task.rows("train")) + len(task.rows("val")) / 3)
