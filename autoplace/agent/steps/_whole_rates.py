"""The learning rates of one kind that whole trials try, and which of them is best.

They have the last word, judged as finalists are: short trials scatter, and do not show where whole
ones collapse (experiments/rate_seeds.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from autoplace.agent.steps._rate_grid import LEAST, RateGrid, beside, on_grid, short_epochs
from autoplace.agent.steps._validation import validation_scores

# Rates in a factor of ten: first, and beside the best of these.
MIDDLE, FINE = 4, 8
MOST_MIDDLE = 5  # rates before the last two: three, and more if the best is at an edge
LEAST_WHOLE = 5  # rates in all


@dataclass
class WholeGrid(RateGrid):
    """The rates of a kind that whole trials of its first reference try.

    Attributes
    ----------
    metric : str
        Decides together with the loss, as among finalists.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> short = RateGrid.of("head-only", [Placement()], seed=0, epochs=2)
    >>> whole = WholeGrid.around(0.0155, short, "accuracy")
    >>> [(trial.learning_rate, trial.epochs) for trial in whole.trials]
    [(0.01, None), (0.018, None), (0.032, None)]
    """

    metric: str = "accuracy"

    @classmethod
    def around(cls, rate: float, short: RateGrid, metric: str) -> Self:
        """Start at the rate that short trials found."""
        judged = [replace(short.judged[0], epochs=None)]
        return cls(short.kind, judged, first_whole_rates(rate), metric=metric)

    @property
    def scores(self) -> dict[float, tuple[float, float]]:
        """Metric and loss on validation by rate, where training did not fail."""
        return {
            rate: (outcome.val.of(self.metric), outcome.val.loss)
            for rate, (outcome,) in self.tried.items()
            if outcome.is_done
        }

    def following(self) -> tuple[float, ...]:
        """Return the rates to try next."""
        return next_whole_rates(self.tried, self.scores)


def search_cost(references: int, epochs: int, *, whole: bool = True) -> float:
    """Return what a search costs at least, in trainings.

    Examples
    --------
    >>> search_cost(references=1, epochs=10), search_cost(references=1, epochs=1)
    (6.2, 3.0)
    """
    short = LEAST * references * short_epochs(epochs) / epochs
    return round(short + LEAST_WHOLE * (whole and tries_whole_rates(epochs)), 2)


def tries_whole_rates(epochs: int) -> bool:
    """Whether whole trials would be any longer than short ones."""
    return short_epochs(epochs) < epochs


def first_whole_rates(found: float) -> tuple[float, ...]:
    """Return the rates that whole trials try first: the nearest of their grid and its neighbours.

    Examples
    --------
    >>> first_whole_rates(0.0155)
    (0.01, 0.018, 0.032)
    """
    middle = on_grid(found, MIDDLE)
    low, high = beside(middle, MIDDLE)
    return low, middle, high


def next_whole_rates(
    tried: Iterable[float], scores: Mapping[float, tuple[float, float]]
) -> tuple[float, ...]:
    """Return the rates that whole trials try next: beyond an edge, or between two, or none.

    Parameters
    ----------
    tried : iterable of float
        Rates that were tried.
    scores : mapping of float to tuple of float
        Metric and loss at those where training did not fail.

    Examples
    --------
    >>> scores = {0.01: (0.7, 0.9), 0.018: (0.8, 0.6), 0.032: (0.8, 0.5)}
    >>> next_whole_rates(scores, scores)
    (0.056,)
    >>> scores[0.056] = (0.3, 2.0)
    >>> next_whole_rates(scores, scores)
    (0.024, 0.042)
    >>> next_whole_rates([*scores, 0.024, 0.042], scores)
    ()
    """
    rates = sorted(tried)
    if any(rate != on_grid(rate, MIDDLE) for rate in rates):
        return ()
    if not scores:
        return (beside(rates[0], MIDDLE)[0],) if len(rates) < MOST_MIDDLE else ()
    best = best_whole_rate(scores)
    beyond = tuple(rate for rate in beside(best, MIDDLE) if rate not in rates)
    return beyond if beyond and len(rates) < MOST_MIDDLE else beside(best, FINE)


def best_whole_rate(scores: Mapping[float, tuple[float, float]]) -> float:
    """Choose a rate by metric and loss of whole trials, as the winner is chosen among finalists.

    No rate between two of them is chosen: losses rise so steeply where training collapses that no
    parabola fits.

    Examples
    --------
    >>> best_whole_rate({0.01: (0.7, 0.6), 0.018: (0.8, 0.5), 0.032: (0.4, 0.5)})
    0.018
    """
    rates = sorted(scores)
    metrics, losses = np.array([scores[rate] for rate in rates]).T
    return rates[int(validation_scores(metrics, losses).argmax())]
