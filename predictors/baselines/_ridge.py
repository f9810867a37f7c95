"""The linear model on all features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .._base import Predictor
from .._gain_scale import Floats, equal_task_weights
from .._registry import register_predictor
from .._schema import SCHEMA


@register_predictor("ridge")
class RidgePredictor(Predictor):
    """Ridge regression on standardised features; missing ones are replaced by their mean.

    Parameters
    ----------
    alpha : float, default=10.0
        L2 penalty.

    Attributes
    ----------
    pipeline_ : sklearn.pipeline.Pipeline
        Imputer, scaler and ridge.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> predictor = predictors.create_predictor("ridge").fit(data.X, data.y, data.groups)
    >>> float(predictors.score_tasks(predictor, data)["spearman"].mean()) > 0.5
    True
    """

    def __init__(self, alpha: float = 10.0) -> None:
        self.alpha = alpha

    def _fit(self, X: pd.DataFrame, scores: Floats, groups: npt.NDArray[np.object_]) -> None:
        self.pipeline_ = make_pipeline(
            SimpleImputer(keep_empty_features=True), StandardScaler(), Ridge(alpha=self.alpha)
        )
        self.pipeline_.fit(
            X[SCHEMA.features], scores, ridge__sample_weight=equal_task_weights(groups)
        )

    def _predict(self, X: pd.DataFrame) -> Floats:
        return np.asarray(self.pipeline_.predict(X[SCHEMA.features]), dtype=float)
