"""The older criterion: places where the gradient is large."""

from __future__ import annotations

import pandas as pd

from .._gain_scale import Floats
from ._standing import StandingPredictor


class GradientNormPredictor(StandingPredictor):
    """Mean Frobenius norm of the edges' gradients, as a rank within the task."""

    name = "gradient-norm"

    def _number(self, X: pd.DataFrame) -> Floats:
        return X["frobenius_norm_percentile_mean"].to_numpy(dtype=float)
