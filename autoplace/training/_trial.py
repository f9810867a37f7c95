"""A trial: what is asked of it, what each epoch measures, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from autoplace.placement import Placement
from autoplace.training._learning_rate import LearningRate
from autoplace.training._scores import Scores
from predictors.vocabulary import Role, Status


@dataclass(frozen=True)
class Trial:
    """A placement to fine-tune with a seed, and how it came to be chosen.

    Parameters
    ----------
    placement : Placement
        What to fine-tune; the empty one is head-only.
    seed : int
        Seed of the adapters and of the order of images.
    role : Role, default=Role.PANEL
        Why it runs.
    chosen_by : str, default="user"
        The generator that proposed the placement.
    propensity : float, optional
        Probability with which the placement was proposed; 1 for what always runs, None where it
        was picked by prediction.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> str(Trial(Placement.parse("7>3@bottleneck:r=8"), seed=1))
    'panel 7>3@bottleneck:r=8 (seed 1)'
    """

    placement: Placement
    seed: int
    role: Role = Role.PANEL
    chosen_by: str = "user"
    propensity: float | None = None

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
    val : Scores
        Validation scores after its last step.

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
    val: Scores


@dataclass
class Outcome:
    """What came of a trial: the state after its last epoch, never after its best.

    Attributes
    ----------
    trial : Trial
        What was asked for.
    learning_rate : LearningRate
        Peak rate, and where it comes from.
    parameters : int
        Trainable adapter parameters.
    status : Status
        `done`, `failed` or `interrupted` once the trial is over.
    reason : str or None
        Why it failed.
    epochs : list of Epoch
        Finished epochs, oldest first.
    step_losses : list of float
        Training loss before each step, in nats.
    state : dict of str to Tensor
        Trained tensors by name, on the CPU; empty unless the trial is done.
    seconds : float
        Its share of the wall time, where several trials ran together.
    test : Scores or None
        Test scores, where a command asked for them: for evaluation, never for choosing.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> from autoplace.training import LearningRate
    >>> outcome = Outcome(Trial(Placement(), seed=0), LearningRate(1e-3, "given"), parameters=0)
    >>> outcome.is_done, str(outcome.status)
    (False, 'running')
    """

    trial: Trial
    learning_rate: LearningRate
    parameters: int
    status: Status = Status.RUNNING
    reason: str | None = None
    epochs: list[Epoch] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    test: Scores | None = None

    @property
    def is_done(self) -> bool:
        """Whether the trial finished and has a result."""
        return self.status is Status.DONE

    @property
    def placement(self) -> Placement:
        """What was fine-tuned."""
        return self.trial.placement

    @property
    def val(self) -> Scores:
        """Validation scores of the last epoch."""
        return self.epochs[-1].val
