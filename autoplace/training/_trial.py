"""One trial: a placement fine-tuned on a task with one seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autoplace.adapters import count_parameters
from autoplace.model import AdaptedModel
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training._deadline import Deadline
from autoplace.training._inputs import ImageInputs
from autoplace.training._learning_rate import LearningRate, learning_rate
from autoplace.training._scores import Scores, score
from autoplace.training._task import Task

WARM_UP = 0.1  # share of the steps
EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Epoch:
    """What is measured after each epoch."""

    number: int
    train_loss: float
    val: Scores


@dataclass
class TrialResult:
    """The outcome of a trial: that of its last epoch, never of its best.

    step_losses: (steps,) training loss before each step; state: trained tensors by name.
    """

    placement: Placement
    seed: int
    learning_rate: LearningRate
    parameters: int
    epochs: list[Epoch] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    cached: bool = True
    seconds: float = 0.0

    @property
    def val(self) -> Scores:
        """Validation scores of the last epoch."""
        return self.epochs[-1].val


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


def run_trial(
    task: Task,
    placement: Placement,
    settings: TrialSettings,
    seed: int,
    *,
    deadline: Deadline | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrialResult:
    """Fine-tune adapters and head: AdamW, linear warm-up, cosine decay to zero.

    Head-only is the empty placement and runs through this very loop. Raises
    DeadlineReachedError between steps, and FloatingPointError when the loss is not finite.
    """
    started = time.perf_counter()
    deadline = deadline or Deadline()
    model = fresh_model(task, placement, seed)
    rate = learning_rate(task.chain.name, len(placement), settings.lr)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        trainable, lr=rate.value, weight_decay=settings.weight_decay, fused=True
    )
    inputs = task.cache("train").inputs(model.frozen_nodes, deadline)
    steps_per_epoch = math.ceil(len(inputs.labels) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, _warm_up_and_cosine(settings.epochs * steps_per_epoch)
    )
    result = TrialResult(
        placement,
        seed,
        rate,
        count_parameters(placement, task.chain.dim),
        cached=not isinstance(inputs, ImageInputs),
    )
    order = torch.Generator().manual_seed(seed)
    for number in range(1, settings.epochs + 1):
        model.train()
        losses = []
        for rows in torch.randperm(len(inputs.labels), generator=order).split(settings.batch_size):
            deadline.check()
            logits, labels = inputs.logits(model, rows.to(task.device))
            loss = functional.cross_entropy(logits, labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.detach())
        step_losses = torch.stack(losses).tolist()
        val = score(*predict_split(task, model, "val", deadline))
        if not all(map(math.isfinite, [*step_losses, val.loss])):
            raise FloatingPointError(
                f"the loss left the finite numbers in epoch {number}; "
                f"lower the learning rate ({rate.value:g})"
            )
        result.step_losses += step_losses
        epoch = Epoch(number, float(np.mean(step_losses)), val)
        result.epochs.append(epoch)
        if on_epoch is not None:
            on_epoch(epoch)
    result.state = {name: t.detach().cpu().clone() for name, t in model.trainable_state().items()}
    result.seconds = time.perf_counter() - started
    return result


def trained_model(task: Task, result: TrialResult) -> AdaptedModel:
    """The model that a trial ended with."""
    model = AdaptedModel(task.chain, result.placement, task.data.classes).to(task.device)
    model.load_trainable_state(result.state)
    return model.eval()


@torch.no_grad()
def predict_split(
    task: Task, model: AdaptedModel, split: str, deadline: Deadline | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (rows, classes) and labels (rows,) of the readable images of a split."""
    model.eval()
    inputs = task.cache(split).inputs(model.frozen_nodes, deadline)
    logits = []
    for rows in torch.arange(len(inputs.labels)).split(EVALUATION_BATCH):
        if deadline is not None:
            deadline.check()
        logits.append(inputs.logits(model, rows.to(task.device))[0])
    return torch.cat(logits).cpu().numpy(), inputs.labels.cpu().numpy()


def _warm_up_and_cosine(steps: int) -> Callable[[int], float]:
    """Factor on the learning rate at each step, from near 0 to 1 and back to 0."""
    warm = max(1, round(WARM_UP * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return factor


def seconds_per_step(
    task: Task, placement: Placement, settings: TrialSettings, steps: int
) -> float:
    """Mean wall seconds of a forward and backward pass over a batch, after one to warm up."""
    model = fresh_model(task, placement, seed=0)
    inputs = task.cache("train").inputs(model.frozen_nodes)
    rows = torch.arange(min(settings.batch_size, len(inputs.labels)), device=task.device)
    started = time.perf_counter()
    for step in range(steps + 1):
        logits, labels = inputs.logits(model, rows)
        functional.cross_entropy(logits, labels).backward()
        if step == 0:
            started = time.perf_counter()
    return (time.perf_counter() - started) / steps
