"""Which placements will do best on a task, before any is trained.

Free of torch and of autoplace: tables in, predicted gains out.
"""

from ._artifact import (
    load_predictor,
    load_training_set,
    save_predictor,
    shipped_folder,
    shipped_predictor,
)
from ._base import Predictor
from ._errors import PredictorError
from ._evaluation import evaluate, regret, score_left_out, score_tasks, spearman
from ._features import build_features
from ._lightgbm import LightGBMPredictor
from ._log import (
    LOG_COLUMNS,
    LOG_SCHEMA_VERSION,
    LogColumn,
    reject_rows,
    upgrade_log,
    validate_log,
)
from ._log_files import PlacementLog, read_log, shipped_log, write_log
from ._log_rows import sort_out
from ._log_stats import log_card, log_stats
from ._registry import create_predictor, list_predictors
from ._schema import SCHEMA, Column, FeatureSchema
from ._training_set import TrainingSet, build_training_set

__all__ = [
    "LOG_COLUMNS",
    "LOG_SCHEMA_VERSION",
    "SCHEMA",
    "Column",
    "FeatureSchema",
    "LightGBMPredictor",
    "LogColumn",
    "PlacementLog",
    "Predictor",
    "PredictorError",
    "TrainingSet",
    "build_features",
    "build_training_set",
    "create_predictor",
    "evaluate",
    "list_predictors",
    "load_predictor",
    "load_training_set",
    "log_card",
    "log_stats",
    "read_log",
    "regret",
    "reject_rows",
    "save_predictor",
    "score_left_out",
    "score_tasks",
    "shipped_folder",
    "shipped_log",
    "shipped_predictor",
    "sort_out",
    "spearman",
    "upgrade_log",
    "validate_log",
    "write_log",
]
