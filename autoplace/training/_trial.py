"""A trial: what is asked of it, what each epoch measures, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from torch import Tensor

from autoplace.model import FullTuning
from autoplace.placement import Placement
from autoplace.training._remedy import Cause, Remedy
from autoplace.training._scores import Scores
from predictors.vocabulary import Role, Status


@dataclass(frozen=True)
class Images:
    """Which images a trial trains on, and which it validates on.

    Parameters
    ----------
    name : str
        `split`: the task's own training and validation images. `fold`: both together, divided into
        folds; it validates on one fold and trains on the rest. `all`: it trains on both together
        and does not validate. `few`: a few of the task's own training images of each class; it
        validates on the task's own validation images.
    fold : int, default=0
        Number of the fold, from 1; the task's own validation images are the first one.
    per_class : int, default=0
        With `few`, the number of training images of each class.
    draw : int, default=0
        With `few`, which images: another number draws others.

    Examples
    --------
    >>> print(Images(), Images("fold", 2), Images("all"), Images("few", per_class=10))
    split fold 2 all few 10
    """

    name: Literal["split", "fold", "all", "few"] = "split"
    fold: int = 0
    per_class: int = 0
    draw: int = 0

    def __str__(self) -> str:
        number = self.fold or self.per_class
        draw = f", draw {self.draw}" if self.draw else ""
        return f"{self.name} {number}{draw}" if number else self.name


@dataclass(frozen=True)
class Trial:
    """A placement to fine-tune with a seed, and how it came to be chosen.

    Parameters
    ----------
    placement : Placement or FullTuning
        What to fine-tune; the empty placement is head-only.
    seed : int
        Seed of the adapters and of the order of images.
    role : Role, default=Role.PANEL
        Why it runs.
    chosen_by : str, default="user"
        The generator that proposed the placement.
    propensity : float, optional
        Probability with which the placement was proposed; 1 for what always runs, None where it
        was picked by prediction.
    learning_rate : float, default=0.01
        Peak learning rate of AdamW.
    rates : tuple of (str, float), default=()
        Peak learning rates of the adapter kinds that have another one.
    epochs : int, optional
        Passes over the training images; None for those of the settings.
    images : Images, optional
        What it trains and validates on.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> str(Trial(Placement.parse("7>3@bottleneck:r=8"), seed=1))
    'panel 7>3@bottleneck:r=8 (seed 1)'
    """

    placement: Placement | FullTuning
    seed: int
    role: Role = Role.PANEL
    chosen_by: str = "user"
    propensity: float | None = None
    learning_rate: float = 0.01
    rates: tuple[tuple[str, float], ...] = ()
    epochs: int | None = None
    images: Images = Images()

    @property
    def is_placement(self) -> bool:
        """Whether it trains adapters on edges, or head-only, and not the backbone itself."""
        return isinstance(self.placement, Placement)

    def __str__(self) -> str:
        return f"{self.role} {self.placement} (seed {self.seed})"


@dataclass(frozen=True)
class Epoch:
    """What is measured after each epoch.

    Parameters
    ----------
    trial : Trial
        Whose epoch it is.
    number : int
        From 1.
    train_loss : float
        Mean training loss over the steps of the epoch, in nats.
    val : Scores or None
        Validation scores after its last step; None where the trial trains on all images.
    paused : Outcome or None
        Now and then, the trial as if it had paused here: whoever saves it can continue the trial
        after a crash.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> from autoplace.training import Scores
    >>> trial = Trial(Placement(), seed=0)
    >>> Epoch(trial, 1, train_loss=0.7, val=Scores(0.8, 0.8, 0.8, loss=0.6)).val.accuracy
    0.8
    """

    trial: Trial
    number: int
    train_loss: float
    val: Scores | None
    paused: Outcome | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Checkpoint:
    """A paused trial: with it, training continues as if it had never paused.

    Attributes
    ----------
    steps : int
        Optimiser steps taken.
    state : dict of str to Tensor
        Trainable tensors by name, on the CPU.
    moments : dict of str to dict of str to Tensor
        AdamW's `exp_avg` and `exp_avg_sq`, each by the name of the tensor, on the CPU.

    Examples
    --------
    >>> Checkpoint(steps=25, state={}, moments={"exp_avg": {}, "exp_avg_sq": {}}).steps
    25
    """

    steps: int
    state: dict[str, Tensor]
    moments: dict[str, dict[str, Tensor]]


@dataclass
class Outcome:
    """What came of a trial: the state after its last epoch, never after its best.

    Attributes
    ----------
    trial : Trial
        What was asked for.
    parameters : int
        Trainable adapter parameters.
    status : Status
        `done`, `failed`, `pruned` or `interrupted` once the trial is over; `running` if it paused.
    reason : str or None
        Why it failed.
    cause : Cause or None
        What kind of failure it was, if one that can be cured.
    remedy : Remedy or None
        How it runs after a failure, or ran; None if it runs as it was asked for. `trial` does not
        change: other parts know an outcome by it.
    epochs : list of Epoch
        Finished epochs, oldest first.
    step_losses : list of float
        Training loss before each step, in nats.
    state : dict of str to Tensor
        Trained tensors by name, on the CPU; empty unless the trial is done.
    checkpoint : Checkpoint or None
        Where a paused trial continues.
    seconds : float
        Wall time of its thread, or its share of it if several trials ran as one population.
    test : Scores or None
        Test scores, where a command asked for them: for evaluation, never for choosing.
    measured : Scores or None
        Scores on the measurement split, where the task has one: for predictors to learn from.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> outcome = Outcome(Trial(Placement(), seed=0), parameters=0)
    >>> outcome.is_done, str(outcome.status)
    (False, 'running')
    """

    trial: Trial
    parameters: int
    status: Status = Status.RUNNING
    reason: str | None = None
    cause: Cause | None = None
    remedy: Remedy | None = None
    epochs: list[Epoch] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    checkpoint: Checkpoint | None = field(default=None, repr=False)
    seconds: float = 0.0
    test: Scores | None = None
    measured: Scores | None = None

    @property
    def is_done(self) -> bool:
        """Whether the trial finished and has a result."""
        return self.status is Status.DONE

    @property
    def is_paused(self) -> bool:
        """Whether the trial can continue."""
        return self.status is Status.RUNNING and self.checkpoint is not None

    @property
    def learning_rate(self) -> float:
        """Peak learning rate that it was trained at."""
        return self.trial.learning_rate * (self.remedy or Remedy()).rate_factor

    @property
    def rates(self) -> dict[str, float]:
        """Peak learning rates, by adapter kind, where they differ."""
        factor = (self.remedy or Remedy()).rate_factor
        return {kind: rate * factor for kind, rate in self.trial.rates}

    def reopened(self) -> Outcome:
        """Return a copy of an outcome that was paused, or has not begun, to continue with."""
        begun = self.epochs or self.status is not Status.RUNNING
        assert self.is_paused or not begun, f"{self.trial} is not paused"
        return replace(self, epochs=list(self.epochs), step_losses=list(self.step_losses))

    def is_stalled(self, patience: int | None, metric: str) -> bool:
        """Whether neither metric nor loss on validation has improved for `patience` epochs."""
        if patience is None or len(self.epochs) <= patience or self.epochs[-1].val is None:
            return False
        scores = [epoch.val for epoch in self.epochs if epoch.val is not None]
        earlier, recent = scores[:-patience], scores[-patience:]
        return all(
            max(map(value, recent)) <= max(map(value, earlier))
            for value in (lambda val: val.of(metric), lambda val: -val.loss)
        )

    @property
    def placement(self) -> Placement | FullTuning:
        """What was fine-tuned."""
        return self.trial.placement

    @property
    def val(self) -> Scores:
        """Validation scores of the last epoch."""
        scores = self.epochs[-1].val
        assert scores is not None, f"{self.trial} trained on all images"
        return scores
