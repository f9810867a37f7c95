"""What comes of a trial."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from autoplace.placement import Placement
from autoplace.training._learning_rate import LearningRate
from autoplace.training._scores import Scores


@dataclass(frozen=True)
class Trial:
    """A placement to be fine-tuned, and the seed of its adapters and of the order of images."""

    placement: Placement
    seed: int


@dataclass(frozen=True)
class Epoch:
    """What is measured after each epoch."""

    number: int
    train_loss: float
    val: Scores


@dataclass
class TrialResult:
    """The outcome of a trial: that of its last epoch, never of its best.

    step_losses: (steps,) training loss before each step; state: trained tensors by name; seconds:
    its share of the wall time, where several were trained together.
    """

    trial: Trial
    learning_rate: LearningRate
    parameters: int
    epochs: list[Epoch] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def placement(self) -> Placement:
        """What was fine-tuned."""
        return self.trial.placement

    @property
    def val(self) -> Scores:
        """Validation scores of the last epoch."""
        return self.epochs[-1].val


@dataclass(frozen=True)
class TrialFailure:
    """Why a trial came to nothing: its numbers, not the user's input."""

    trial: Trial
    reason: str
