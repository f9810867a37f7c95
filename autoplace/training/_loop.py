"""The training loop: forward, loss, backward, step, for one trial or several side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import zip_longest

import torch
from torch import Tensor
from torch.nn import functional

from autoplace.adapters import BatchPart
from autoplace.model import AdaptedModel, Alone, Population, Trainable
from autoplace.settings import TrialSettings
from autoplace.training._adamw import MOMENTS, create_adamw, read_moments, set_moments
from autoplace.training._deadline import Deadline
from autoplace.training._folds import split_rows
from autoplace.training._frozen_batch import FrozenBatch
from autoplace.training._losses import class_weights, means
from autoplace.training._models import fresh_model
from autoplace.training._precision import autocast, full_precision
from autoplace.training._remedy import Cause, Remedy
from autoplace.training._schedule import WarmUpAndCosine
from autoplace.training._scores import Scores, score
from autoplace.training._task import Task
from autoplace.training._trial import Checkpoint, Epoch, Outcome
from predictors.vocabulary import Status

EVALUATION_BATCH = 256  # images, times placements
PAUSED_SECONDS = 2.0  # after which an epoch comes with the paused trial: writing it takes 20 ms


class TrainingLoop:
    """Models, optimiser and outcomes of trials that are trained side by side.

    A member is the position of a trial among them.

    Parameters
    ----------
    task : Task
        Data and backbone.
    outcomes : sequence of Outcome
        New or paused, with equal numbers of epochs, finished and in all, on the same images and
        with the same remedy; they are changed in place.
    settings : TrialSettings
        How to train.
    deadline : Deadline
        Checked between steps.
    model : Trainable, optional
        Trained in place, as it is now, instead of a fresh model of the only trial.
    """

    def __init__(
        self,
        task: Task,
        outcomes: Sequence[Outcome],
        settings: TrialSettings,
        deadline: Deadline,
        model: Trainable | None = None,
    ) -> None:
        self._started = time.perf_counter()
        self._task = task
        self._settings = settings
        self._deadline = deadline
        self._outcomes = list(outcomes)
        self._model = model
        self._remedy = outcomes[0].remedy or Remedy()
        self._cache = task.cache("fit", float32=self._remedy.float32)
        first = outcomes[0].trial
        self._epochs = first.epochs or settings.epochs
        self._rows = split_rows(task, first.images)
        self._steps = len(outcomes[0].step_losses)
        per_epoch = math.ceil(len(self._rows.train) / settings.batch_size)
        self._schedule = WarmUpAndCosine(self._epochs * per_epoch)
        self._class_weights = class_weights(
            task.labels[self._rows.train], len(task.data.classes), settings.class_weights
        )
        self._weights = (
            None
            if self._class_weights is None
            else torch.from_numpy(self._class_weights).float().to(task.device)
        )
        self._members = self._create_members()
        self._optimiser = create_adamw(
            self._members, settings.weight_decay, self._remedy.rate_factor
        )
        self._restore_moments()
        self._orders = {o.trial.seed: self._order(o.trial.seed) for o in outcomes}
        self._paused_at = dict.fromkeys(range(len(outcomes)), self._started)

    @property
    def _active(self) -> list[int]:
        """Members that still train."""
        return [m for m, outcome in enumerate(self._outcomes) if outcome.status is Status.RUNNING]

    def run(self, until: int | None) -> Iterator[Epoch]:
        """Train up to an epoch, or to the end; yields every epoch of every trial."""
        done = len(self._outcomes[0].epochs)
        for number in range(done + 1, min(until or self._epochs, self._epochs) + 1):
            if not self._active:
                return
            yield from self._run_epoch(number)

    def _run_epoch(self, number: int) -> Iterator[Epoch]:
        with full_precision() if self._remedy.float32 else nullcontext():
            losses = self._train(number)
            scores = self._validate() if len(self._rows.val) else {}
        for member in losses:
            outcome, step_losses = self._outcomes[member], torch.stack(losses[member]).tolist()
            val = scores.get(member)
            measured = step_losses if val is None else [*step_losses, val.loss]
            if not all(map(math.isfinite, measured)):
                outcome.status, outcome.cause = Status.FAILED, Cause.DIVERGENCE
                outcome.reason = (
                    f"the loss became NaN or infinite in epoch {number}; "
                    f"lower the learning rate ({outcome.learning_rate:g})"
                )
                continue
            outcome.step_losses += step_losses
            epoch = Epoch(outcome.trial, number, sum(step_losses) / len(step_losses), val)
            outcome.epochs.append(epoch)
            if outcome.is_stalled(self._settings.patience, self._task.metric):
                yield epoch
                self._finish(member)
            else:
                yield self._with_paused(epoch, member)

    def close(self, status: Status) -> list[Outcome]:
        """Outcomes in the order of the trials; those that have not ended get `status`, or pause."""
        seconds = (time.perf_counter() - self._started) / len(self._outcomes)
        for member, outcome in enumerate(self._outcomes):
            outcome.seconds += seconds
            if outcome.status is not Status.RUNNING:
                continue
            if status is not Status.DONE:
                outcome.status = status
            elif len(outcome.epochs) == self._epochs:
                self._finish(member)
            else:
                outcome.checkpoint = self._checkpoint(member)
        return self._outcomes

    def _with_paused(self, epoch: Epoch, member: int) -> Epoch:
        """Add the trial as if it paused here, if the last time is some seconds ago."""
        outcome, now = self._outcomes[member], time.perf_counter()
        is_last = epoch.number == self._epochs
        # Not where it would hold the weights of a whole backbone, or of a model that is not ours.
        small = outcome.trial.is_placement and self._model is None
        if is_last or not small or now - self._paused_at[member] < PAUSED_SECONDS:
            return epoch
        self._paused_at[member] = now
        paused = replace(
            outcome,
            epochs=list(outcome.epochs),
            step_losses=list(outcome.step_losses),
            checkpoint=self._checkpoint(member),
            seconds=outcome.seconds + (now - self._started) / len(self._outcomes),
        )
        return replace(epoch, paused=paused)

    def _finish(self, member: int) -> None:
        outcome = self._outcomes[member]
        outcome.status, outcome.checkpoint = Status.DONE, None
        outcome.state = _on_cpu(self._members.trainable_state(member))

    def _train(self, number: int) -> dict[int, list[Tensor]]:
        """One pass over the training images; losses of each member before each step."""
        self._members.train()
        history: dict[int, list[Tensor]] = {member: [] for member in self._active}
        for batches in self._batches(number):
            self._optimiser.zero_grad(set_to_none=True)
            losses = {member: torch.zeros((), device=self._task.device) for member in batches}
            for part, rows in self._parts(batches):
                self._members.start_step(self._steps, rows)
                logits = self._forward(part)

                labels = torch.cat([batch.labels for batch in part.values()])
                by_image = functional.cross_entropy(
                    torch.cat(logits).float(), labels, self._weights, reduction="none"
                )
                own = means(by_image, [len(each) for each in logits])
                shares = own.new_tensor([len(each) / each.total for each in rows.values()])
                own = own * shares  # of the mean over the whole batch; 1 where it is whole

                own.sum().backward()  # of independent parameters, so each gets its own gradient
                for member, mean in zip(part, own.detach(), strict=True):
                    losses[member] = losses[member] + mean

            for group in self._optimiser.param_groups:
                group["lr"] = group["peak"] * self._schedule.factor(self._steps)
            self._optimiser.step()
            self._steps += 1

            for member, loss in losses.items():
                history[member].append(loss)
        return history

    def _parts(
        self, batches: dict[int, FrozenBatch]
    ) -> Iterator[tuple[dict[int, FrozenBatch], dict[int, BatchPart]]]:
        """Yield the parts of a batch by member, whose gradients are added up, and their rows."""
        for number in range(self._remedy.parts):
            rows = {
                member: BatchPart.of(number, self._remedy.parts, len(batch.labels))
                for member, batch in batches.items()
            }
            rows = {member: part for member, part in rows.items() if len(part)}
            if rows:
                yield {m: batches[m].rows(part.start, part.stop) for m, part in rows.items()}, rows

    @torch.no_grad()
    def _validate(self) -> dict[int, Scores]:
        """Score each active member on validation."""
        self._members.eval()
        active = self._active
        logits: dict[int, list[Tensor]] = {member: [] for member in active}
        labels = []
        for batch in self._cache.batches(
            self._nodes(active),
            torch.from_numpy(self._rows.val),
            max(32, EVALUATION_BATCH // len(active)) // self._remedy.parts,
            deadline=self._deadline,
        ):
            labels.append(batch.labels)
            for member, part in zip(
                active, self._forward(dict.fromkeys(active, batch)), strict=True
            ):
                logits[member].append(part.float())
        true = torch.cat(labels).cpu().numpy()
        return {
            member: score(torch.cat(parts).cpu().numpy(), true, self._class_weights)
            for member, parts in logits.items()
        }

    def _forward(self, batches: dict[int, FrozenBatch]) -> list[Tensor]:
        """Logits (batch, classes) of each member on its batch."""
        precision = "float32" if self._remedy.float32 else self._task.precision
        with autocast(precision, self._task.device):
            logits: list[Tensor] = self._members(
                [batch.values for batch in batches.values()], list(batches)
            )
        return logits

    def _batches(self, number: int) -> Iterator[dict[int, FrozenBatch]]:
        """Training batches of an epoch by member; members of one seed read the same images."""
        seed_of = {member: self._outcomes[member].trial.seed for member in self._active}
        rows = torch.from_numpy(self._rows.train)
        streams = {
            seed: self._cache.batches(
                self._nodes([member for member, its_seed in seed_of.items() if its_seed == seed]),
                rows[torch.randperm(len(rows), generator=self._orders[seed])],
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
        asked = self._members.frozen_nodes
        return sorted({node for member in members for node in asked[member]})

    def _order(self, seed: int) -> torch.Generator:
        """Generator of the orders of images, after those of the finished epochs."""
        generator = torch.Generator().manual_seed(seed)
        for _ in self._outcomes[0].epochs:
            torch.randperm(len(self._rows.train), generator=generator)
        return generator

    def _create_members(self, moment: str | None = None) -> Alone | Population:
        """Models in the state to start from, or a moment of AdamW in the same shape."""
        cohorts = [(o.trial.learning_rate, o.trial.rates) for o in self._outcomes]
        if self._model is not None:
            return Alone(self._model, cohorts[0])
        models = []
        for outcome in self._outcomes:
            trial, checkpoint = outcome.trial, outcome.checkpoint
            model = fresh_model(
                self._task, trial.placement, trial.seed, self._rows.train, self._deadline
            )
            if checkpoint is not None:
                state = checkpoint.state if moment is None else checkpoint.moments[moment]
                model.load_trainable_state(state)
            models.append(model)
        if len(models) == 1:
            return Alone(models[0], cohorts[0])
        return Population([model for model in models if isinstance(model, AdaptedModel)], cohorts)

    def _checkpoint(self, member: int) -> Checkpoint:
        return Checkpoint(
            self._steps,
            _on_cpu(self._members.trainable_state(member)),
            {
                name: _on_cpu(read_moments(self._optimiser, self._members, member, name))
                for name in MOMENTS
            },
        )

    def _restore_moments(self) -> None:
        """Continue with AdamW's state of the checkpoints."""
        checkpoint = self._outcomes[0].checkpoint
        if checkpoint is None:
            return
        self._steps = checkpoint.steps
        if self._model is not None:
            self._restore_moments_of(self._model, checkpoint.moments)
            return
        held = {name: self._create_members(name).parameters_by_group() for name in MOMENTS}
        for group, parameters in self._members.parameters_by_group().items():
            for index, parameter in enumerate(parameters):
                moments = {name: held[name][group][index].detach() for name in MOMENTS}
                set_moments(self._optimiser, parameter, self._steps, moments)

    def _restore_moments_of(
        self, model: Trainable, moments: Mapping[str, Mapping[str, Tensor]]
    ) -> None:
        """Give a changed model the moments of the parameters that it still has."""
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and name in moments[MOMENTS[0]]:
                own = {m: moments[m][name].to(parameter.device) for m in MOMENTS}
                set_moments(self._optimiser, parameter, self._steps, own)


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu() for name, tensor in state.items()}
