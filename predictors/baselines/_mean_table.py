"""Memory: what this very placement gave on this backbone before."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from .._base import Predictor
from .._gain_scale import Floats


class MeanTablePredictor(Predictor):
    """Mean score per backbone and placement; a placement never tried there is an average one.

    Attributes
    ----------
    table_ : Series
        Mean within-task score, indexed by backbone and placement text.
    """

    name = "mean-table"

    def _fit(self, X: pd.DataFrame, scores: Floats, groups: npt.NDArray[np.object_]) -> None:
        self.table_ = pd.Series(scores).groupby([X["backbone"], X["placement"]]).mean()

    def _predict(self, X: pd.DataFrame) -> Floats:
        wanted = pd.MultiIndex.from_frame(X[["backbone", "placement"]])
        return np.asarray(self.table_.reindex(wanted).fillna(0.0), dtype=float)
