"""Trials that start from given adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from autoplace.model import AdaptedModel, fit_head
from autoplace.training._adamw import MOMENTS
from autoplace.training._folds import split_rows
from autoplace.training._loop import open_outcome
from autoplace.training._models import PREDICTION_BATCH, fresh_model
from autoplace.training._precision import full_precision
from autoplace.training._task import Task
from autoplace.training._trial import Checkpoint, Outcome, Trial


def start_state(task: Task, trial: Trial, adapters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that a trial starts from: given adapters, and a head for what they compute.

    The head is fitted as `Task.first_head` is, but on features with the adapters.

    Parameters
    ----------
    task : Task
        Data and backbone.
    trial : Trial
        A trial of a placement; the head sees the images that it trains on.
    adapters : mapping of str to Tensor
        Adapter tensors by the names of `AdaptedModel.trainable_state`; empty for new adapters.

    Returns
    -------
    dict of str to Tensor
        All trainable tensors by name, on the CPU.

    Raises
    ------
    RuntimeError
        If the adapters do not fit the placement.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> trial = Trial(Placement.parse("20>22@linear:r=1"), seed=0)
    >>> adapters = {f"adapters.20>22.{name}.weight": torch.ones(shape)
    ...             for name, shape in (("down", (1, 96)), ("up", (96, 1)))}
    >>> state = start_state(open_task("builtin:digits"), trial, adapters)
    >>> bool((state["adapters.20>22.up.weight"] == 1).all()), tuple(state["head.weight"].shape)
    (True, (10, 96))
    """
    rows = split_rows(task, trial.images).train
    model = fresh_model(task, trial.placement, trial.seed, rows)
    assert isinstance(model, AdaptedModel), f"{trial} is no placement"
    state = model.trainable_state()
    if adapters:
        head = {name: tensor for name, tensor in state.items() if name.startswith("head.")}
        model.load_trainable_state({**adapters, **head})
        features, labels = _features(task, model, task.head_rows(rows))
        fitted = fit_head(features, labels, len(task.data.classes), task.seed)
        state = {
            **adapters,
            "head.weight": torch.from_numpy(fitted.weight).float(),
            "head.bias": torch.from_numpy(fitted.bias).float(),
        }
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def start_outcome(task: Task, trial: Trial, state: Mapping[str, Tensor]) -> Outcome:
    """Outcome of a trial that has not been trained yet and starts from given tensors.

    It is a trial that paused before its first step.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> from autoplace.settings import TrialSettings
    >>> from autoplace.training import run_trials
    >>> task, trial = open_task("builtin:digits"), Trial(Placement.parse("20>22"), seed=0)
    >>> start = start_outcome(task, trial, start_state(task, trial, adapters={}))
    >>> given, ordinary = run_trials(task, [start], TrialSettings(epochs=1)) + run_trials(
    ...     task, [trial], TrialSettings(epochs=1)
    ... )
    >>> given.step_losses == ordinary.step_losses
    True
    """
    moments = {name: {key: torch.zeros_like(t) for key, t in state.items()} for name in MOMENTS}
    return replace(open_outcome(task, trial), checkpoint=Checkpoint(0, dict(state), moments))


@torch.no_grad()
def _features(task: Task, model: AdaptedModel, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (rows, features) that the model's head sees, and labels (rows,)."""
    head, model.head = model.head, nn.Identity()  # type: ignore[assignment]
    model.eval()
    features, labels = [], []
    with full_precision():
        order = torch.from_numpy(rows)
        for batch in task.cache("fit").batches(model.frozen_nodes, order, PREDICTION_BATCH):
            features.append(model.forward_suffix(batch.values).double().cpu())
            labels.append(batch.labels.cpu())
    model.head = head
    return torch.cat(features).numpy(), torch.cat(labels).numpy()
