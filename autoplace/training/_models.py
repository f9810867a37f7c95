"""Models before and after a trial, and what they predict."""

from __future__ import annotations

import time
from threading import Lock

import numpy as np
import torch
from torch.nn import functional

from autoplace.model import AdaptedModel
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training._precision import autocast
from autoplace.training._task import Task
from autoplace.training._trial import Outcome

PREDICTION_BATCH = 256
_SEEDING = Lock()  # the random state belongs to the process, and trials may run in threads


def fresh_model(
    task: Task, placement: Placement, seed: int, rows: np.ndarray | None = None
) -> AdaptedModel:
    """Untrained model of a placement, with the first head of the images it will be trained on.

    Parameters
    ----------
    task : Task
        Data and backbone.
    placement : Placement
        Where adapters go.
    seed : int
        Of the adapters; the caller's random state is left alone.
    rows : ndarray (rows,), optional
        Rows of `fit` that it will be trained on; default: those of train.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> model = fresh_model(open_task("builtin:digits"), Placement.parse("7>3"), seed=0)
    >>> len(model.adapters), model.head.out_features
    (1, 10)
    """
    devices = [task.device] if task.device.type == "cuda" else []
    with _SEEDING, torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        model = AdaptedModel(task.chain, placement, task.data.classes).to(task.device)
    head = task.first_head(task.rows("train") if rows is None else rows)
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(head.weight))
        model.head.bias.copy_(torch.from_numpy(head.bias))
    return model


def trained_model(task: Task, outcome: Outcome) -> AdaptedModel:
    """Model that a finished trial ended with, in evaluation mode.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.training import run_trial
    >>> task = open_task("builtin:digits")
    >>> outcome = run_trial(task, Placement(), TrialSettings(epochs=1), seed=0)
    >>> trained_model(task, outcome).training
    False
    """
    model = AdaptedModel(task.chain, outcome.placement, task.data.classes).to(task.device)
    model.load_trainable_state(outcome.state)
    return model.eval()


@torch.no_grad()
def predict_split(task: Task, model: AdaptedModel, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Predict the readable images of a split.

    Parameters
    ----------
    task : Task
        Data and backbone.
    model : AdaptedModel
        Set to evaluation mode.
    split : str
        `train`, `val`, `fit` or `test`.

    Returns
    -------
    logits : ndarray (rows, classes)
    labels : ndarray (rows,)

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
    for batch in cache.batches(model.frozen_nodes, order, PREDICTION_BATCH):
        with autocast(task.precision, task.device):
            logits.append(model.forward_suffix(batch.values).float())
        labels.append(batch.labels)
    return torch.cat(logits).cpu().numpy(), torch.cat(labels).cpu().numpy()


def seconds_per_step(
    task: Task, placement: Placement, settings: TrialSettings, steps: int
) -> float:
    """Mean wall seconds of a forward and backward pass over a batch, after one to warm up.

    Parameters
    ----------
    task : Task
        Data and backbone.
    placement : Placement
        What would be trained.
    settings : TrialSettings
        Its batch size counts.
    steps : int
        Passes that are timed.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> task = open_task("builtin:digits")
    >>> seconds_per_step(task, Placement(), TrialSettings(batch_size=4), steps=1) > 0
    True
    """
    model = fresh_model(task, placement, seed=0)
    cache, rows = task.located("train")
    order = torch.from_numpy(rows[: settings.batch_size])
    batch = next(cache.batches(model.frozen_nodes, order, len(order), epoch=0))
    started = time.perf_counter()
    for step in range(steps + 1):
        with autocast(task.precision, task.device):
            logits = model.forward_suffix(batch.values)
        functional.cross_entropy(logits.float(), batch.labels).backward()
        if step == 0:
            started = time.perf_counter()
    return (time.perf_counter() - started) / steps
