"""What a pick can afford within its time budget: the search shrinks until it fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from autoplace.agent.steps._race import plan_rungs
from autoplace.agent.steps._rate_grid import LEAST, SHARE
from autoplace.settings import PickSettings


@dataclass(frozen=True)
class Sides:
    """Who is trained besides the candidates.

    Attributes
    ----------
    refit_share : float
        Images that the refit trains on, divided by the training images.
    contenders : int
        Baselines besides head-only that may win.
    tested : int
        Winner and baselines besides head-only that are trained for the test.
    favourites : int, default=0
        Others that reach the finals without a race.
    searches : bool, default=True
        Whether learning rates are found, and not given.

    Examples
    --------
    >>> Sides(refit_share=1.25, contenders=2, tested=3).later_rates
    0
    """

    refit_share: float
    contenders: int
    tested: int
    favourites: int = 0
    searches: bool = True

    @property
    def finalists(self) -> int:
        """Those who are compared with the finalists of the race."""
        return self.contenders + self.favourites

    @property
    def later_rates(self) -> int:
        """Baselines whose learning rate is found only for the test."""
        return max(0, self.tested - 1 - self.contenders) if self.searches else 0


@dataclass(frozen=True)
class Allowance:
    """How much a pick tries.

    Attributes
    ----------
    field, top_k : int
        Candidates that start the race, and that it leaves as finalists.
    folds, seeds : int
        Folds on which finalists are compared; trainings of winner and baselines for the test.

    Examples
    --------
    >>> full = Allowance(field=24, top_k=2, folds=2, seeds=3)
    >>> full.by_phase(epochs=10, sides=Sides(refit_share=1.25, contenders=2, tested=3))
    {'race': 3.1, 'finalists': 3.6, 'folds': 4, 'baselines': 0.0, 'refit': 11.25}
    """

    field: int
    top_k: int
    folds: int
    seeds: int

    def by_phase(self, epochs: int, sides: Sides) -> dict[str, float]:
        """Count the trainings of a placement that each phase takes, once the rates are known.

        Parameters
        ----------
        epochs : int
            Epochs of a training.
        sides : Sides
            Who is trained besides the candidates.
        """
        trained, before = 0, 0
        for rung in plan_rungs(self.field, self.top_k, epochs):
            trained += rung.started * (rung.epoch - before)
            before = rung.epoch
        return {
            "race": trained / epochs,
            "finalists": sides.finalists + self.top_k * (epochs - before) / epochs,
            "folds": (self.folds - 1) * (self.top_k + sides.finalists),
            "baselines": round(LEAST * SHARE * sides.later_rates, 2),
            "refit": self.seeds * sides.tested * sides.refit_share,
        }


def afford(
    settings: PickSettings,
    field: int,
    folds: int,
    sides: Sides,
    *,
    seconds_per_training: float,
    seconds: float,
) -> Allowance:
    """Return the largest allowance that fits the time left.

    Folds are reduced first, then seeds, then candidates: a race of fewer is better than none.

    Parameters
    ----------
    settings : PickSettings
        What was asked for.
    field, folds : int
        Candidates and folds that are available.
    sides : Sides
        Who is trained besides the candidates.
    seconds_per_training : float
        Wall seconds of a training, as measured so far.
    seconds : float
        Time left.

    Examples
    --------
    >>> sides = Sides(refit_share=1.25, contenders=2, tested=3)
    >>> afford(PickSettings(), 24, 2, sides, seconds_per_training=9.0, seconds=120)
    Allowance(field=24, top_k=2, folds=1, seeds=1)
    """
    asked = Allowance(field, min(settings.top_k, field), folds, settings.seeds)
    for allowance in _smaller(asked):
        trainings = sum(allowance.by_phase(settings.epochs, sides).values())
        if trainings * seconds_per_training <= seconds:
            return allowance
    return allowance


def _smaller(allowance: Allowance) -> Iterator[Allowance]:
    yield allowance
    allowance = replace(allowance, folds=1)
    yield allowance
    for seeds in range(allowance.seeds - 1, 0, -1):
        allowance = replace(allowance, seeds=seeds)
        yield allowance
    while allowance.field > 1:
        allowance = replace(
            allowance,
            field=(allowance.field + 1) // 2,
            top_k=min(max(1, allowance.top_k - 1), (allowance.field + 1) // 2),
        )
        yield allowance
