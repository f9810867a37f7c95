"""Models before and after a trial, and what they predict."""

from __future__ import annotations

import time

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


def fresh_model(task: Task, placement: Placement, seed: int) -> AdaptedModel:
    """An untrained model of the placement with the task's first head, adapters seeded."""
    devices = [task.device] if task.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        model = AdaptedModel(task.chain, placement, task.data.classes).to(task.device)
    head = task.first_head
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(head.weight))
        model.head.bias.copy_(torch.from_numpy(head.bias))
    return model


def trained_model(task: Task, outcome: Outcome) -> AdaptedModel:
    """The model that a trial ended with."""
    model = AdaptedModel(task.chain, outcome.placement, task.data.classes).to(task.device)
    model.load_trainable_state(outcome.state)
    return model.eval()


@torch.no_grad()
def predict_split(task: Task, model: AdaptedModel, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits (rows, classes) and labels (rows,) of the readable images of a split."""
    model.eval()
    logits, labels = [], []
    cache = task.cache(split)
    for batch in cache.batches(model.frozen_nodes, torch.arange(len(cache)), PREDICTION_BATCH):
        with autocast(task.precision, task.device):
            logits.append(model.forward_suffix(batch.values).float())
        labels.append(batch.labels)
    return torch.cat(logits).cpu().numpy(), torch.cat(labels).cpu().numpy()


def seconds_per_step(
    task: Task, placement: Placement, settings: TrialSettings, steps: int
) -> float:
    """Mean wall seconds of a forward and backward pass over a batch, after one to warm up."""
    model = fresh_model(task, placement, seed=0)
    cache = task.cache("train")
    rows = torch.arange(min(settings.batch_size, len(cache)))
    batch = next(cache.batches(model.frozen_nodes, rows, len(rows), epoch=0))
    started = time.perf_counter()
    for step in range(steps + 1):
        with autocast(task.precision, task.device):
            logits = model.forward_suffix(batch.values)
        functional.cross_entropy(logits.float(), batch.labels).backward()
        if step == 0:
            started = time.perf_counter()
    return (time.perf_counter() - started) / steps
