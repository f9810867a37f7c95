"""The paper's criterion: edges whose gradient has a high rank are good places."""

from __future__ import annotations

import pandas as pd

from .._gain_scale import Floats
from ._standing import StandingPredictor


class GradientRankPredictor(StandingPredictor):
    """Mean gradient rank of the edges (Nowak et al. 2024), ties broken by stable rank."""

    name = "gradient-rank"

    def _number(self, X: pd.DataFrame) -> Floats:
        ranks = X["gradient_rank_percentile_mean"] + 1e-6 * X["stable_rank_percentile_mean"]
        return ranks.to_numpy(dtype=float)
