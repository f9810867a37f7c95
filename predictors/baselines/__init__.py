"""What the learned predictor is compared with, behind the same interface."""

from ._gradient_norm import GradientNormPredictor
from ._gradient_rank import GradientRankPredictor
from ._mean_table import MeanTablePredictor
from ._random import RandomPredictor
from ._ridge import RidgePredictor
from ._target_depth import TargetDepthPredictor

__all__ = [
    "GradientNormPredictor",
    "GradientRankPredictor",
    "MeanTablePredictor",
    "RandomPredictor",
    "RidgePredictor",
    "TargetDepthPredictor",
]
