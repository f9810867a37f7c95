"""The older criterion: places where the gradient is large."""

from __future__ import annotations

import pandas as pd

from .._gain_scale import Floats
from .._registry import register_predictor
from ._standing import StandingPredictor


@register_predictor("gradient-norm")
class GradientNormPredictor(StandingPredictor):
    """Order by the mean Frobenius norm of the edges' gradients, as a rank within the task.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> digits = data.select(data.families == "digits")
    >>> predictor = predictors.create_predictor("gradient-norm")
    >>> predictor = predictor.fit(digits.X, digits.y, digits.groups)
    >>> norms = digits.X["frobenius_norm_percentile_mean"]
    >>> round(predictors.spearman(norms, predictor.predict(digits.X)), 3)
    1.0
    """

    def _number(self, X: pd.DataFrame) -> Floats:
        return X["frobenius_norm_percentile_mean"].to_numpy(dtype=float)
