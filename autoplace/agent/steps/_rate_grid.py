"""The grid of learning rates of one kind: which rates are tried, and which one is chosen."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from autoplace.errors import UserError
from autoplace.model import FullTuning
from autoplace.placement import Placement
from autoplace.training import Outcome, Scores, Trial
from predictors.vocabulary import Role

STEP = math.sqrt(10)  # ratio of neighbouring rates, before the half steps
# Where the grid starts. It always grows once, so that the best of three has two neighbours; three
# from the start would often be four in the end, because the best is as often the highest.
START = (1e-2, 3.2e-2)
START_FULL = (3.2e-4, 1e-3)  # of full fine-tuning, whose weights must stay near their start
LEAST = len(START) + 3  # rates that a search tries, half steps among them
# The most rates, without half steps: down to a hundredth of the first, where training changes next
# to nothing.
MOST = 6
SHARE = 0.4  # of the epochs of a whole trial

Reference = Placement | FullTuning | Trial


@dataclass(frozen=True)
class RateSearch:
    """The learning rate of a kind on a task, and what it was chosen from.

    Attributes
    ----------
    kind : str
        Adapter kind, `head-only`, `lora`, `full`, or `lora-baseline`, where another variant of LoRA
        is searched; in `merge`, the start.
    rate : float
        The rate that every trial of the kind gets.
    source : str
        `given` by the user, or `found`.
    epochs : int
        Passes of each short trial; 0 if the rate was given.
    tried : dict of float to list of (float or None)
        Validation metric of each trial at each rate; None where training diverged.
    loss : float
        Lowest validation loss of the first trial, at rates that are not worse than head-only, if
        there are any; infinite if nothing was tried.

    Examples
    --------
    >>> RateSearch("bottleneck", 0.01, "given").rate
    0.01
    """

    kind: str
    rate: float
    source: str
    epochs: int = 0
    tried: dict[float, list[float | None]] = field(default_factory=dict)
    loss: float = math.inf


@dataclass
class RateGrid:
    """The rates of a kind that were tried, and those to try next.

    Attributes
    ----------
    kind : str
        Adapter kind, `head-only`, `lora`, `full`, or `lora-baseline`, where another variant of LoRA
        is searched; in `merge`, the start.
    judged : list of Trial
        What every rate is judged by; at no rate yet.
    rates : tuple of float
        To try next.
    tried : dict of float to list of Outcome
        Outcomes of these trials, by rate.
    metric : str
        The metric that decides on validation.
    head_only : Outcome or None
        A whole training of head-only that rates are compared with (`is_worse`).

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> grid = RateGrid.of("head-only", [Placement()], 0, 2, "accuracy", head_only=None)
    >>> [(trial.learning_rate, trial.seed) for trial in grid.trials]
    [(0.01, 0), (0.032, 0)]
    """

    kind: str
    judged: list[Trial]
    rates: tuple[float, ...]
    metric: str
    head_only: Outcome | None
    tried: dict[float, list[Outcome]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        kind: str,
        references: Sequence[Reference],
        seed: int,
        epochs: int,
        metric: str,
        head_only: Outcome | None,
    ) -> Self:
        """Start the grid of a kind with its references."""
        assert references, f"no placement to find the learning rate of {kind} with"
        judged = [
            each if isinstance(each, Trial) else Trial(each, seed, chosen_by=kind)
            for each in references
        ]
        judged = [replace(each, role=Role.RATE, epochs=epochs) for each in judged]
        return cls(kind, judged, START_FULL if kind == "full" else START, metric, head_only)

    @property
    def trials(self) -> list[Trial]:
        """Trials of the rates to try next."""
        return [replace(each, learning_rate=rate) for rate in self.rates for each in self.judged]

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Add the outcomes of these trials, and say which rates to try next."""
        for rate in self.rates:
            self.tried[rate] = [o for o in outcomes if o.trial.learning_rate == rate]
        self.rates = following(self.losses, self.worse)

    @property
    def losses(self) -> dict[float, list[float]]:
        """Validation losses by rate; infinite for a trial that failed."""
        return {
            rate: [o.val.loss if o.is_done else math.inf for o in outcomes]
            for rate, outcomes in sorted(self.tried.items())
        }

    @property
    def worse(self) -> set[float]:
        """Rates at which the trials that did not fail are worse than head-only."""
        if self.head_only is None:
            return set()
        reached = {rate: [o.val for o in each if o.is_done] for rate, each in self.tried.items()}
        head_only = self.head_only.val
        return {r for r, scores in reached.items() if is_worse(scores, head_only, self.metric)}

    def result(self) -> RateSearch:
        """Return the rate that `best_rate` chooses.

        Raises
        ------
        UserError
            Training failed at every rate.
        """
        if not any(all(map(math.isfinite, each)) for each in self.losses.values()):
            lowest = min(self.tried)
            reason = next((o.reason for o in self.tried[lowest] if o.reason), None)
            raise UserError(
                f"training {self.kind} fails at every learning rate down to {lowest:.0e}: "
                f"{reason or 'the loss is not finite'}\n"
                "check the images and the backbone, or set --lr"
            )
        metrics = {
            rate: [o.val.of(self.metric) if o.is_done else None for o in self.tried[rate]]
            for rate in sorted(self.tried)
        }
        epochs = self.judged[0].epochs
        assert epochs is not None
        finite = {rate: each for rate, each in self.losses.items() if math.isfinite(each[0])}
        good = {rate: each for rate, each in finite.items() if rate not in self.worse}
        loss = min(losses[0] for losses in (good or finite).values())
        rate = best_rate(self.losses, self.worse)
        return RateSearch(self.kind, rate, "found", epochs, metrics, loss)


def short_epochs(epochs: int) -> int:
    """Return the epochs of a trial that only helps to find the rate."""
    return max(1, round(SHARE * epochs))


def is_worse(scores: Sequence[Scores], head_only: Scores, metric: str) -> bool:
    """Return whether trials are worse than head-only, in the means of both loss and metric.

    Such a rate is no good, however its loss compares with that of other rates: where adapters
    overfit, a rate at which training collapses can have a lower loss than rates below it.

    Examples
    --------
    >>> head_only = Scores(accuracy=0.4, balanced_accuracy=0.4, macro_f1=0.4, loss=1.8)
    >>> is_worse([Scores(0.3, 0.3, 0.3, 1.9), Scores(0.3, 0.3, 0.3, 2.1)], head_only, "accuracy")
    True
    >>> is_worse([Scores(0.5, 0.5, 0.5, 1.9)], head_only, "accuracy")
    False
    """
    if not scores:
        return False
    loss, reached = np.mean([(each.loss, each.of(metric)) for each in scores], axis=0)
    return bool(loss > head_only.loss and reached < head_only.of(metric))


def best_rate(losses: Mapping[float, Sequence[float]], worse: Collection[float] = ()) -> float:
    """Choose a rate by validation loss.

    Parameters
    ----------
    losses : mapping of float to sequence of float
        Validation loss of each trial at each rate; infinite where training diverged.
    worse : collection of float
        Rates that are worse than head-only. They are chosen only if there is no other: then the
        lowest at which nothing diverged.

    Returns
    -------
    float
        Between the rates of the grid: the lowest point of the parabola through the best rate
        and its neighbours, over the logarithm of the rate.

    Examples
    --------
    >>> round(best_rate({0.001: [0.9, 0.9], 0.01: [0.5, 0.6], 0.1: [0.7, 0.7]}), 4)
    0.0158
    >>> best_rate({0.001: [0.9], 0.01: [0.5], 0.1: [math.inf]})
    0.01
    """
    rates = sorted(losses)
    means = np.array([np.mean(losses[rate]) for rate in rates])
    best = rates.index(_best(losses, worse))
    around = means[max(best - 1, 0) : best + 2]
    # A neighbour that is worse than head-only may still have a lower loss.
    if len(around) < 3 or not np.isfinite(around).all() or around[1] > around.min():
        return rates[best]
    left, middle, right = around
    curvature = left - 2 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature > 0 else 0.0
    log_step = math.log(rates[best + 1] / rates[best])
    return float(f"{rates[best] * math.exp(shift * log_step):.3g}")


def following(
    losses: Mapping[float, Sequence[float]], worse: Collection[float] = ()
) -> tuple[float, ...]:
    """Return the rates to try next: beyond an edge, then half a step beside the best, or none.

    Examples
    --------
    >>> following({0.01: [0.6], 0.032: [0.5]})
    (0.1,)
    >>> following({0.01: [0.6], 0.032: [0.5], 0.1: [0.9]})
    (0.018, 0.056)
    >>> following({0.01: [0.6], 0.018: [0.4], 0.032: [0.5], 0.056: [0.6], 0.1: [0.9]})
    ()
    """
    return extension(losses, worse) or half_steps(losses, worse)


def extension(
    losses: Mapping[float, Sequence[float]], worse: Collection[float] = ()
) -> tuple[float, ...]:
    """Return the rate beyond the edge where the best rate is, or none.

    None follows once `MOST` were tried.

    Examples
    --------
    >>> extension({0.01: [0.6], 0.032: [0.5]})
    (0.1,)
    >>> extension({0.0032: [0.9], 0.01: [0.5], 0.032: [0.6]})
    ()
    """
    rates = sorted(losses)
    if len(rates) >= MOST:
        return ()
    best = _best(losses, worse)
    if best == rates[-1] and math.isfinite(np.mean(losses[best])):
        return (_steps_away(best, 1),)
    if best == rates[0]:  # also where every rate diverges
        return (_steps_away(best, -1),)
    return ()


def half_steps(
    losses: Mapping[float, Sequence[float]], worse: Collection[float] = ()
) -> tuple[float, ...]:
    """Return the rates half a step below and above the best, or none.

    None follow once half steps were tried, and beside a best rate at an edge.

    Examples
    --------
    >>> half_steps({0.0032: [0.9], 0.01: [0.5], 0.032: [0.6]})
    (0.0056, 0.018)
    """
    best = _best(losses, worse)
    were_tried = any(_steps_away(rate, 0.5) in losses for rate in losses)
    if were_tried or best in (min(losses), max(losses)):
        return ()
    return _steps_away(best, -0.5), _steps_away(best, 0.5)


def _best(losses: Mapping[float, Sequence[float]], worse: Collection[float]) -> float:
    """Return the lowest rate with the lowest mean loss; one that is worse, only if all are.

    Of rates that are worse than head-only it is the lowest, whose trials are most like head-only.
    """

    def key(rate: float) -> tuple[bool, bool, float]:
        mean = float(np.mean(losses[rate]))
        return not math.isfinite(mean), rate in worse, 0.0 if rate in worse else mean

    return min(sorted(losses), key=key)


def _steps_away(rate: float, steps: float) -> float:
    """Return the rate so many steps away on the grid, always rounded to the same two digits."""
    place = round(2 * math.log(rate, STEP)) / 2  # in half steps
    return float(f"{STEP ** (place + steps):.2g}")
