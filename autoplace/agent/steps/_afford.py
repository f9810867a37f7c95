"""What a pick can afford within its time budget: the search shrinks until it fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

from autoplace.agent.steps._entrants import has_favourite
from autoplace.agent.steps._race import plan_rungs
from autoplace.agent.steps._rate_grid import LEAST, SHARE
from autoplace.settings import PickSettings
from autoplace.training import Task, Trial


@dataclass(frozen=True)
class Sides:
    """Who is trained besides the candidates.

    Attributes
    ----------
    refit_share : float
        Images that the refit trains on, divided by the training images.
    may_win : int
        Baselines besides head-only that may win.
    tested : int
        Winner and baselines besides head-only that are trained for the test.
    favourites : int, default=0
        Others that are compared with the finalists of the race, without having raced.
    searches : bool, default=True
        Whether learning rates are found, and not given.

    Examples
    --------
    >>> Sides(refit_share=1.25, may_win=2, tested=3).later_rates
    0
    """

    refit_share: float
    may_win: int
    tested: int
    favourites: int = 0
    searches: bool = True

    @classmethod
    def of(
        cls,
        task: Task,
        settings: PickSettings,
        baselines: Sequence[Trial],
        may_win: Sequence[Trial],
        kinds: Sequence[object],
    ) -> Self:
        """Count them.

        Parameters
        ----------
        task : Task
            Its images.
        settings : PickSettings
            Whether the refit trains on validation images, and whether rates are found.
        baselines, may_win : sequence of Trial
            See `Entrants`.
        kinds : sequence
            The adapter kinds that are searched.
        """
        return cls(
            refit_share=len(task.rows("fit")) / len(task.rows("train")) if settings.refit else 1.0,
            may_win=len(may_win),
            tested=len(baselines),  # the winner stands in for head-only
            favourites=int(has_favourite(kinds)),
            searches=settings.lr is None,
        )

    @property
    def without_race(self) -> int:
        """Those who are compared with the finalists of the race, besides head-only."""
        return self.may_win + self.favourites

    @property
    def later_rates(self) -> int:
        """Baselines whose learning rate is found only for the test."""
        return max(0, self.tested - 1 - self.may_win) if self.searches else 0


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
    >>> full.by_phase(epochs=10, sides=Sides(refit_share=1.25, may_win=2, tested=3))
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
            "finalists": sides.without_race + self.top_k * (epochs - before) / epochs,
            "folds": (self.folds - 1) * (self.top_k + sides.without_race),
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
    """Return an allowance that fits the time left.

    First there is one fold only; then seeds are taken away, one by one; then the field is halved,
    as often as necessary: a race of fewer is better than none.

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
    >>> sides = Sides(refit_share=1.25, may_win=2, tested=3)
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
