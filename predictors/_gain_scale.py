"""The target as predictors learn it: gains centred and scaled within each task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GainScale:
    """The way from a within-task score back to a gain, for a task not seen before.

    Only the order within a task matters, and tasks differ widely in how much there is to gain, so
    predictors learn `(gain - task mean) / task spread`. A new task is given the typical mean and
    spread: its order is a prediction, its level only a guess.

    Parameters
    ----------
    location, spread : float
        In units of the metric.
    """

    location: float
    spread: float

    @classmethod
    def fit(cls, y: Floats, groups: npt.NDArray[np.object_]) -> Self:
        """Take the typical mean and spread of a task; y: (rows,) gains; groups: (rows,) tasks."""
        by = pd.Series(y).groupby(groups)
        return cls(float(by.mean().mean()), float(np.sqrt(by.var(ddof=0).mean())))

    def normalise(self, y: Floats, groups: npt.NDArray[np.object_]) -> Floats:
        """Within-task scores (rows,).

        A task's variance is averaged with the typical one, so that a task whose placements differ
        by seed noise alone does not weigh as much as one where they really differ.
        """
        by = pd.Series(y).groupby(groups)
        centred = y - by.transform("mean").to_numpy()
        variance = by.transform("var", ddof=0).to_numpy()
        spread = np.sqrt((variance + self.spread**2) / 2)
        scores: Floats = np.zeros(len(y))
        np.divide(centred, spread, out=scores, where=spread > 0)
        return scores

    def restore(self, scores: Floats) -> Floats:
        """Gains in units of the metric, (rows,)."""
        return self.location + self.spread * scores


def equal_task_weights(groups: npt.NDArray[np.object_]) -> Floats:
    """Row weights (rows,) of mean 1 with the same sum for every task."""
    sizes = pd.Series(groups).groupby(groups).transform("size").to_numpy(dtype=float)
    weights = 1.0 / sizes
    return np.asarray(weights / weights.mean(), dtype=float)
