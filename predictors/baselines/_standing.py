"""Baselines that trust one number: the higher it stands, the better the placement."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt
import pandas as pd

from .._base import Predictor
from .._gain_scale import Floats


class StandingPredictor(Predictor):
    """Order placements by `_number` alone; only its mean and deviation are learnt, for the units.

    Attributes
    ----------
    mean_, deviation_ : float
        Of the number, over the training rows.
    """

    def _fit(self, X: pd.DataFrame, scores: Floats, groups: npt.NDArray[np.object_]) -> None:
        numbers = self._number(X)
        known = numbers[np.isfinite(numbers)]
        self.mean_ = float(known.mean()) if len(known) else 0.0
        self.deviation_ = float(known.std()) if len(known) else 0.0

    def _predict(self, X: pd.DataFrame) -> Floats:
        centred = self._number(X) - self.mean_
        # Without a spread to divide by the order still stands; an unknown number is an average one.
        standing = centred / self.deviation_ if self.deviation_ > 0 else centred
        return np.where(np.isfinite(standing), standing, 0.0)

    @abstractmethod
    def _number(self, X: pd.DataFrame) -> Floats:
        """Return the number trusted, (rows,); NaN where it is not known."""
