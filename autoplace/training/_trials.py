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
from autoplace.training._deadline import Deadline, DeadlineReachedError
from autoplace.training._learning_rate import learning_rate
from autoplace.training._models import fresh_model
from autoplace.training._precision import autocast
from autoplace.training._scores import Scores, score
from autoplace.training._task import Task
from autoplace.training._trial import Epoch, Outcome, Trial
from predictors.vocabulary import Status

WARM_UP = 0.1  # share of the steps
EVALUATION_BATCH = 256  # images, times placements


def run_trial(task: Task, placement: Placement, settings: TrialSettings, seed: int) -> Outcome:
    """Fine-tune one placement alone.

    Parameters
    ----------
    task : Task
        Data and backbone.
    placement : Placement
        What to fine-tune.
    settings : TrialSettings
        How to train.
    seed : int
        Seed of the adapters and of the order of images.

    Returns
    -------
    Outcome
        Done or failed, as `run_trials` gives it.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> from autoplace.settings import TrialSettings
    >>> task = open_task("builtin:digits")
    >>> outcome = run_trial(task, Placement(), TrialSettings(epochs=1), seed=0)
    >>> str(outcome.status), outcome.parameters
    ('done', 0)
    """
    (outcome,) = run_trials(task, [Trial(placement, seed)], settings)
    return outcome


def run_trials(
    task: Task,
    trials: Sequence[Trial],
    settings: TrialSettings,
    *,
    deadline: Deadline | None = None,
) -> list[Outcome]:
    """Fine-tune trials side by side, as `train` does, and return their outcomes in order.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> from autoplace.settings import TrialSettings
    >>> task = open_task("builtin:digits")
    >>> trials = [Trial(Placement.parse(text), seed=0) for text in ("head-only", "20>22")]
    >>> outcomes = run_trials(task, trials, TrialSettings(epochs=1))
    >>> [(str(outcome.status), outcome.parameters) for outcome in outcomes]
    [('done', 0), ('done', 1544)]
    """
    events = train(task, trials, settings, deadline=deadline)
    return [event for event in events if isinstance(event, Outcome)]


def train(
    task: Task,
    trials: Sequence[Trial],
    settings: TrialSettings,
    *,
    deadline: Deadline | None = None,
) -> Iterator[Epoch | Outcome]:
    """Fine-tune adapters and head of each trial: AdamW, linear warm-up, cosine decay to zero.

    Head-only is the empty placement and runs through the same loop. Trials that run side by side
    share the work of the frozen sub-layers and nothing else: each gives what it would give alone,
    up to rounding.

    Parameters
    ----------
    task : Task
        Data and backbone.
    trials : sequence of Trial
        Distinct trials.
    settings : TrialSettings
        How to train.
    deadline : Deadline, optional
        Checked between steps.

    Yields
    ------
    Epoch or Outcome
        Each epoch of each trial; then one outcome per trial, in their order: `failed` where the
        loss became NaN or infinite (the others continue), `interrupted` where the deadline came
        first, else `done`.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> from autoplace.settings import TrialSettings
    >>> task, settings = open_task("builtin:digits"), TrialSettings(epochs=2)
    >>> [type(event).__name__ for event in train(task, [Trial(Placement(), seed=0)], settings)]
    ['Epoch', 'Epoch', 'Outcome']
    """
    loop = _TrainingLoop(task, trials, settings, deadline or Deadline())
    status = Status.DONE
    try:
        for number in range(1, settings.epochs + 1):
            yield from loop.run_epoch(number)
    except DeadlineReachedError:
        status = Status.INTERRUPTED
    yield from loop.close(status)


def open_outcome(task: Task, trial: Trial, settings: TrialSettings) -> Outcome:
    """Outcome of a trial that has not been trained yet.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> trial = Trial(Placement.parse("7>3@bottleneck:r=2"), seed=0)
    >>> open_outcome(open_task("builtin:digits"), trial, TrialSettings()).parameters
    386
    """
    rate = learning_rate(task.chain.name, len(trial.placement), settings.lr)
    return Outcome(trial, rate, count_parameters(trial.placement, task.chain.dim))


class _TrainingLoop:
    """Population, optimiser and outcomes of trials that are trained side by side.

    A member is the position of a trial in the population.
    """

    def __init__(
        self, task: Task, trials: Sequence[Trial], settings: TrialSettings, deadline: Deadline
    ) -> None:
        self._started = time.perf_counter()
        self._task = task
        self._settings = settings
        self._deadline = deadline
        self._outcomes = [open_outcome(task, trial, settings) for trial in trials]
        rates = [outcome.learning_rate.value for outcome in self._outcomes]
        models = [fresh_model(task, trial.placement, trial.seed) for trial in trials]
        self._population = Population(models, rates)
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
        """Members that have not failed."""
        return [m for m, outcome in enumerate(self._outcomes) if outcome.status is Status.RUNNING]

    def run_epoch(self, number: int) -> Iterator[Epoch]:
        """Train and validate once; yields the epoch of every trial that continues."""
        if not self._active:
            return
        losses = self._train(number)
        for member, val in self._validate().items():
            outcome, step_losses = self._outcomes[member], torch.stack(losses[member]).tolist()
            if not all(map(math.isfinite, [*step_losses, val.loss])):
                outcome.status = Status.FAILED
                outcome.reason = (
                    f"the loss became NaN or infinite in epoch {number}; "
                    f"lower the learning rate ({outcome.learning_rate.value:g})"
                )
                continue
            outcome.step_losses += step_losses
            epoch = Epoch(outcome.trial, number, sum(step_losses) / len(step_losses), val)
            outcome.epochs.append(epoch)
            yield epoch

    def close(self, status: Status) -> list[Outcome]:
        """Outcomes in the order of the trials; those that did not fail end with `status`."""
        seconds = (time.perf_counter() - self._started) / len(self._outcomes)
        for member in self._active:
            outcome = self._outcomes[member]
            outcome.status, outcome.seconds = status, seconds
            if outcome.is_done:
                state = self._population.trainable_state(member)
                outcome.state = {name: tensor.cpu() for name, tensor in state.items()}
        return self._outcomes

    def _train(self, number: int) -> dict[int, list[Tensor]]:
        """One pass over the training images; losses of each member before each step."""
        history: dict[int, list[Tensor]] = {member: [] for member in self._active}
        for batches in self._batches(number):
            logits = self._forward(batches)

            labels = torch.cat([batch.labels for batch in batches.values()])
            by_image = functional.cross_entropy(torch.cat(logits).float(), labels, reduction="none")
            losses = _means(by_image, [len(each) for each in logits])

            self._optimiser.zero_grad(set_to_none=True)
            losses.sum().backward()  # of independent parameters, so each gets its own gradient

            self._optimiser.step()
            self._schedule.step()

            for member, loss in zip(batches, losses.detach(), strict=True):
                history[member].append(loss)
        return history

    @torch.no_grad()
    def _validate(self) -> dict[int, Scores]:
        """Score each active member on validation."""
        active = self._active
        logits: dict[int, list[Tensor]] = {member: [] for member in active}
        labels = []
        cache, rows = self._task.located("val")
        for batch in cache.batches(
            self._nodes(active),
            torch.from_numpy(rows),
            max(32, EVALUATION_BATCH // len(active)),
            deadline=self._deadline,
        ):
            labels.append(batch.labels)
            for member, part in zip(
                active, self._forward(dict.fromkeys(active, batch)), strict=True
            ):
                logits[member].append(part.float())
        true = torch.cat(labels).cpu().numpy()
        return {m: score(torch.cat(parts).cpu().numpy(), true) for m, parts in logits.items()}

    def _forward(self, batches: dict[int, FrozenBatch]) -> list[Tensor]:
        """Logits (batch, classes) of each member on its batch."""
        with autocast(self._task.precision, self._task.device):
            logits: list[Tensor] = self._population(
                [batch.values for batch in batches.values()], list(batches)
            )
        return logits

    def _batches(self, number: int) -> Iterator[dict[int, FrozenBatch]]:
        """Training batches of an epoch by member; members of one seed read the same images."""
        cache, rows = self._task.located("train")
        seed_of = {member: self._outcomes[member].trial.seed for member in self._active}
        streams = {
            seed: cache.batches(
                self._nodes([member for member, its_seed in seed_of.items() if its_seed == seed]),
                torch.from_numpy(rows)[torch.randperm(len(rows), generator=self._orders[seed])],
                self._settings.batch_size,
                epoch=number - 1,
                deadline=self._deadline,
            )
            for seed in dict.fromkeys(seed_of.values())
        }
        # Of unequal length only where all images of a batch turn out to be unreadable.
        for batches in zip_longest(*streams.values()):
            by_seed = dict(zip(streams, batches, strict=True))
            yield {m: batch for m, seed in seed_of.items() if (batch := by_seed[seed]) is not None}

    def _nodes(self, members: Sequence[int]) -> list[int]:
        """Nodes whose frozen values some members read."""
        asked = self._population.frozen_nodes
        return sorted({node for member in members for node in asked[member]})


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
