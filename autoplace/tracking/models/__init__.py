"""Winners and predictors as MLflow models, and the registry with the predictor in use."""

from autoplace.tracking.models._registry import (
    PREDICTOR_EXPERIMENT,
    champion,
    promote,
    register_version,
)
from autoplace.tracking.models._winner import fetch_winner, log_winner_model

__all__ = [
    "PREDICTOR_EXPERIMENT",
    "champion",
    "fetch_winner",
    "log_winner_model",
    "promote",
    "register_version",
]
