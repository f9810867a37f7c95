"""Memory: what this very placement gave on this backbone before."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from .._base import Predictor
from .._gain_scale import Floats
from .._registry import register_predictor


@register_predictor("mean-table")
class MeanTablePredictor(Predictor):
    """Remember the mean score per backbone and placement; an unknown placement is average.

    Attributes
    ----------
    table_ : Series
        Mean within-task score, indexed by backbone and placement text.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> predictor = predictors.create_predictor("mean-table").fit(data.X, data.y, data.groups)
    >>> best_of_fashion = predictor.table_.loc["fashion-vit8"].idxmax()
    >>> best_of_fashion in set(data.X["placement"])
    True
    """

    def _fit(self, X: pd.DataFrame, scores: Floats, groups: npt.NDArray[np.object_]) -> None:
        self.table_ = pd.Series(scores).groupby([X["backbone"], X["placement"]]).mean()

    def _predict(self, X: pd.DataFrame) -> Floats:
        wanted = pd.MultiIndex.from_frame(X[["backbone", "placement"]])
        return np.asarray(self.table_.reindex(wanted).fillna(0.0), dtype=float)
