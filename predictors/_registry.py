"""Predictors by name."""

from __future__ import annotations

import difflib
from typing import Any

from . import baselines
from ._base import Predictor
from ._errors import PredictorError
from ._lightgbm import LightGBMPredictor

_CLASSES: tuple[type[Predictor], ...] = (
    LightGBMPredictor,
    baselines.RandomPredictor,
    baselines.GradientRankPredictor,
    baselines.GradientNormPredictor,
    baselines.TargetDepthPredictor,
    baselines.MeanTablePredictor,
    baselines.RidgePredictor,
)
_BY_NAME = {each.name: each for each in _CLASSES}


def list_predictors() -> list[str]:
    """Names that `create_predictor` knows, the main predictor first."""
    return list(_BY_NAME)


def create_predictor(name: str, **settings: Any) -> Predictor:
    """An unfitted predictor.

    Parameters
    ----------
    name : str
        One of `list_predictors()`.
    **settings
        Arguments of its constructor.

    Raises
    ------
    PredictorError
        Unknown name.
    """
    if name not in _BY_NAME:
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise PredictorError(f"unknown predictor '{name}'; {hint}known: {', '.join(_BY_NAME)}")
    return _BY_NAME[name](**settings)
