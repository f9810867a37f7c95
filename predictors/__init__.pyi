from ._artifact import (
    load_predictor as load_predictor,
)
from ._artifact import (
    load_training_set as load_training_set,
)
from ._artifact import (
    save_predictor as save_predictor,
)
from ._artifact import (
    shipped_folder as shipped_folder,
)
from ._artifact import (
    shipped_predictor as shipped_predictor,
)
from ._base import Predictor as Predictor
from ._errors import PredictorError as PredictorError
from ._evaluation import evaluate as evaluate
from ._evaluation import regret as regret
from ._evaluation import score_left_out as score_left_out
from ._evaluation import score_tasks as score_tasks
from ._evaluation import spearman as spearman
from ._features import build_features as build_features
from ._lightgbm import LightGBMPredictor as LightGBMPredictor
from ._log import (
    LOG_COLUMNS as LOG_COLUMNS,
)
from ._log import (
    LOG_SCHEMA_VERSION as LOG_SCHEMA_VERSION,
)
from ._log import (
    LogColumn as LogColumn,
)
from ._log import (
    reject_rows as reject_rows,
)
from ._log import (
    upgrade_log as upgrade_log,
)
from ._log import (
    validate_log as validate_log,
)
from ._log_files import PlacementLog as PlacementLog
from ._log_files import read_log as read_log
from ._log_files import shipped_log as shipped_log
from ._log_files import write_log as write_log
from ._log_rows import sort_out as sort_out
from ._log_stats import log_card as log_card
from ._log_stats import log_stats as log_stats
from ._registry import create_predictor as create_predictor
from ._registry import list_predictors as list_predictors
from ._schema import SCHEMA as SCHEMA
from ._schema import Column as Column
from ._schema import FeatureSchema as FeatureSchema
from ._training_set import TrainingSet as TrainingSet
from ._training_set import build_training_set as build_training_set
from .vocabulary import HEAD_ONLY as HEAD_ONLY
from .vocabulary import METRICS as METRICS
from .vocabulary import Role as Role
from .vocabulary import Status as Status
