"""The paper's criterion: edges whose gradient has a high rank are good places."""

from __future__ import annotations

import pandas as pd

from .._gain_scale import Floats
from .._registry import register_predictor
from ._standing import StandingPredictor


@register_predictor("gradient-rank")
class GradientRankPredictor(StandingPredictor):
    """Order by the mean gradient rank of the edges (Nowak et al. 2024), ties by stable rank.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> digits = data.select(data.families == "digits")
    >>> predictor = predictors.create_predictor("gradient-rank")
    >>> predictor = predictor.fit(digits.X, digits.y, digits.groups)
    >>> ranks = digits.X["gradient_rank_percentile_mean"]
    >>> round(predictors.spearman(ranks, predictor.predict(digits.X)), 2)
    1.0
    """

    def _number(self, X: pd.DataFrame) -> Floats:
        ranks = X["gradient_rank_percentile_mean"] + 1e-6 * X["stable_rank_percentile_mean"]
        return ranks.to_numpy(dtype=float)
