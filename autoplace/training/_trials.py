"""Trials: placements fine-tuned on a task, one alone or many side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

import torch
from torch import Tensor
from torch.nn import functional

from autoplace.adapters import count_parameters
from autoplace.model import Population
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training._cache import FrozenBatch
from autoplace.training._deadline import Deadline
from autoplace.training._learning_rate import learning_rate
from autoplace.training._models import fresh_model
from autoplace.training._precision import autocast
from autoplace.training._scores import Scores, score
from autoplace.training._task import Task
from autoplace.training._trial_result import Epoch, Trial, TrialFailure, TrialResult

WARM_UP = 0.1  # share of the steps
EVALUATION_BATCH = 256  # images, times placements

OnEpoch = Callable[[Trial, Epoch], None]


def run_trial(
    task: Task,
    placement: Placement,
    settings: TrialSettings,
    seed: int,
    *,
    deadline: Deadline | None = None,
) -> TrialResult:
    """One trial alone; raises as `run_trials` does, and FloatingPointError where it fails."""
    (result,) = run_trials(task, [Trial(placement, seed)], settings, deadline=deadline)
    if isinstance(result, TrialFailure):
        raise FloatingPointError(result.reason)
    return result


def run_trials(
    task: Task,
    trials: Sequence[Trial],
    settings: TrialSettings,
    *,
    deadline: Deadline | None = None,
    on_epoch: OnEpoch | None = None,
) -> list[TrialResult | TrialFailure]:
    """Fine-tune adapters and head of each: AdamW, linear warm-up, cosine decay to zero.

    Head-only is the empty placement and runs through this very loop. Trials that run side by side
    share the work of the frozen sub-layers and nothing else: each gives what it would have given
    alone, up to rounding. One whose loss leaves the finite numbers fails and drops out.

    Raises DeadlineReachedError between steps.
    """
    run = _Run(task, trials, settings, deadline or Deadline())
    for number in range(1, settings.epochs + 1):
        for trial, epoch in run.epoch(number):
            if on_epoch is not None:
                on_epoch(trial, epoch)
    return run.outcomes()


class _Run:
    """Trials under way: their population, optimiser and results so far."""

    def __init__(
        self, task: Task, trials: Sequence[Trial], settings: TrialSettings, deadline: Deadline
    ) -> None:
        self._started = time.perf_counter()
        self._task = task
        self._settings = settings
        self._deadline = deadline
        rates = [
            learning_rate(task.chain.name, len(trial.placement), settings.lr) for trial in trials
        ]
        self._results = [
            TrialResult(trial, rate, count_parameters(trial.placement, task.chain.dim))
            for trial, rate in zip(trials, rates, strict=True)
        ]
        self._failures: dict[int, TrialFailure] = {}
        models = [fresh_model(task, trial.placement, trial.seed) for trial in trials]
        self._population = Population(models, [rate.value for rate in rates])
        groups = self._population.parameters_by_cohort().items()
        self._optimiser = torch.optim.AdamW(
            [{"params": parameters, "lr": rate} for rate, parameters in groups],
            weight_decay=settings.weight_decay,
            fused=True,
        )
        steps = settings.epochs * math.ceil(len(task.data.train) / settings.batch_size)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, _warm_up_and_cosine(steps)
        )
        self._orders = {trial.seed: torch.Generator().manual_seed(trial.seed) for trial in trials}

    @property
    def _active(self) -> list[int]:
        return [member for member in range(len(self._results)) if member not in self._failures]

    def epoch(self, number: int) -> Iterator[tuple[Trial, Epoch]]:
        """Train and validate once; gives the epoch of every trial that goes on."""
        if not self._active:
            return
        losses = self._train(number)
        for member, val in self._validate().items():
            result, step_losses = self._results[member], torch.stack(losses[member]).tolist()
            if not all(map(math.isfinite, [*step_losses, val.loss])):
                self._failures[member] = TrialFailure(
                    result.trial,
                    f"the loss left the finite numbers in epoch {number}; "
                    f"lower the learning rate ({result.learning_rate.value:g})",
                )
                continue
            result.step_losses += step_losses
            epoch = Epoch(number, sum(step_losses) / len(step_losses), val)
            result.epochs.append(epoch)
            yield result.trial, epoch

    def outcomes(self) -> list[TrialResult | TrialFailure]:
        """A result or a failure for each trial, in their order."""
        seconds = (time.perf_counter() - self._started) / len(self._results)
        for member in self._active:
            state = self._population.trainable_state(member)
            self._results[member].state = {name: t.cpu() for name, t in state.items()}
            self._results[member].seconds = seconds
        return [self._failures.get(m, result) for m, result in enumerate(self._results)]

    def _train(self, number: int) -> dict[int, list[Tensor]]:
        """One pass over the training images; the loss of each member before each step."""
        streams = [self._stream(seed, order, number) for seed, order in self._orders.items()]
        losses: dict[int, list[Tensor]] = {member: [] for member in self._active}
        # Of unequal length only where all images of a batch turn out to be unreadable.
        for batches in zip_longest(*streams):
            by_seed = dict(zip(self._orders, batches, strict=True))
            found = self._step(
                {m: b for m in self._active if (b := by_seed[self._results[m].trial.seed])}
            )
            for member, loss in found.items():
                losses[member].append(loss)
        return losses

    def _stream(self, seed: int, order: torch.Generator, number: int) -> Iterator[FrozenBatch]:
        """The training images in the order of a seed, as its members read them."""
        rows = torch.randperm(len(self._task.data.train), generator=order)
        members = [m for m in self._active if self._results[m].trial.seed == seed]
        return self._task.cache("train").batches(
            self._nodes(members),
            rows,
            self._settings.batch_size,
            epoch=number - 1,
            deadline=self._deadline,
        )

    def _nodes(self, members: Sequence[int]) -> list[int]:
        asked = self._population.frozen_nodes
        return sorted({node for member in members for node in asked[member]})

    def _step(self, batches: dict[int, FrozenBatch]) -> dict[int, Tensor]:
        """A step of some members, each on its batch; returns their losses before it."""
        logits = self._logits(batches)
        labels = torch.cat([batch.labels for batch in batches.values()])
        by_row = functional.cross_entropy(torch.cat(logits).float(), labels, reduction="none")
        losses = _means(by_row, [len(each) for each in logits])
        self._optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        self._optimiser.step()
        self._schedule.step()
        return dict(zip(batches, losses.detach(), strict=True))

    def _logits(self, batches: dict[int, FrozenBatch]) -> list[Tensor]:
        with autocast(self._task.precision, self._task.device):
            logits: list[Tensor] = self._population(
                [batch.values for batch in batches.values()], list(batches)
            )
        return logits

    @torch.no_grad()
    def _validate(self) -> dict[int, Scores]:
        active = self._active
        found: dict[int, list[Tensor]] = {member: [] for member in active}
        labels = []
        for batch in self._task.cache("val").batches(
            self._nodes(active),
            torch.arange(len(self._task.data.val)),
            max(32, EVALUATION_BATCH // len(active)),
            deadline=self._deadline,
        ):
            labels.append(batch.labels)
            logits = self._logits(dict.fromkeys(active, batch))
            for member, each in zip(active, logits, strict=True):
                found[member].append(each.float())
        true = torch.cat(labels).cpu().numpy()
        return {m: score(torch.cat(parts).cpu().numpy(), true) for m, parts in found.items()}


def _means(values: Tensor, sizes: Sequence[int]) -> Tensor:
    """Means (parts,) of consecutive parts of values (rows,)."""
    if len(set(sizes)) == 1:
        return values.view(len(sizes), -1).mean(1)
    return torch.stack([part.mean() for part in values.split(list(sizes))])


def _warm_up_and_cosine(steps: int) -> Callable[[int], float]:
    """Factor on the learning rate at each step, from near 0 to 1 and back to 0."""
    warm = max(1, round(WARM_UP * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return factor
