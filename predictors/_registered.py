"""The registry with the predictors of this package in it: they register when imported."""

from . import _lightgbm, baselines
from ._registry import create_predictor, list_predictors, register_predictor

__all__ = ["_lightgbm", "baselines", "create_predictor", "list_predictors", "register_predictor"]
