"""Trainer: what a procedure trains with: a task, a trial and the ordinary training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from autoplace.data import stratified_sample
from autoplace.errors import UserError
from autoplace.model import AdaptedModel, Trainable
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import (
    Epoch,
    FrozenBatch,
    Outcome,
    Task,
    Trial,
    fresh_model,
    split_rows,
    train_model,
)
from predictors.vocabulary import Status

IMAGES_PER_CLASS = 32  # of a calibration


@dataclass(frozen=True)
class Trainer:
    """A trial that a procedure trains in its own way.

    Parameters
    ----------
    task : Task
        Data and backbone.
    trial : Trial
        Placement, seed, learning rate, epochs and images.
    settings : TrialSettings
        How to train.
    report : callable, optional
        Called with each finished epoch.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> trial = Trial(Placement.parse("20>22"), seed=0)
    >>> trainer = Trainer(open_task("builtin:digits"), trial, TrialSettings(epochs=2))
    >>> model = trainer.fresh_model()
    >>> paused = trainer.train(model, until=1)
    >>> paused.is_paused, trainer.train(model, after=paused).is_done
    (True, True)
    >>> sum(len(batch.labels) for batch in trainer.calibration(model.frozen_nodes))
    320
    """

    task: Task
    trial: Trial
    settings: TrialSettings
    report: Callable[[Epoch], None] = lambda epoch: None

    @property
    def placement(self) -> Placement:
        """The placement of the trial."""
        assert isinstance(self.trial.placement, Placement), "a trial of a placement"
        return self.trial.placement

    @property
    def epochs(self) -> int:
        """Passes over the training images."""
        return self.trial.epochs or self.settings.epochs

    def on(self, placement: Placement) -> Trainer:
        """Return a trainer for the same trial with another placement."""
        return replace(self, trial=replace(self.trial, placement=placement))

    def fresh_model(self) -> AdaptedModel:
        """Create the untrained model of the trial, with the first head of its images."""
        rows = split_rows(self.task, self.trial.images).train
        model = fresh_model(self.task, self.placement, self.trial.seed, rows)
        assert isinstance(model, AdaptedModel)
        return model

    def train(
        self, model: Trainable, *, until: int | None = None, after: Outcome | None = None
    ) -> Outcome:
        """Train a model in place by the ordinary loop, from the state that it is in.

        Parameters
        ----------
        model : Trainable
            An adapted model, or one that changes how it runs. Hooks on its parameters are kept.
        until : int, optional
            Pause after this epoch, counted from the start of the trial.
        after : Outcome, optional
            A paused outcome, to continue with its schedule, order of images and the optimiser's
            moments. Parameters that are new or renamed start without moments.

        Returns
        -------
        Outcome
            Done, or paused.

        Raises
        ------
        UserError
            If the loss becomes NaN or infinite.
        """
        job = self.trial if after is None else after
        for event in train_model(self.task, model, job, self.settings, until=until):
            if isinstance(event, Epoch):
                self.report(event)
            else:
                outcome = event
        if outcome.status is Status.FAILED:
            raise UserError(f"training failed: {outcome.reason}")
        return outcome

    def calibration(self, nodes: tuple[int, ...]) -> list[FrozenBatch]:
        """Read 32 training images of each class, or fewer, without augmentation.

        Parameters
        ----------
        nodes : tuple of int
            Nodes whose frozen values are read.
        """
        rows = split_rows(self.task, self.trial.images).train
        labels = self.task.labels[rows]
        n_images = int(np.minimum(np.bincount(labels), IMAGES_PER_CLASS).sum())
        drawn = stratified_sample(labels, n_images, self.trial.seed, at_least=IMAGES_PER_CLASS)
        order = torch.from_numpy(np.sort(rows[drawn]))
        return list(self.task.cache("fit").batches(nodes, order, self.settings.batch_size))
