"""Everything that is written to and read from MLflow, and the crash-safe ledger.

Importing this room is cheap: mlflow, which takes seconds to import, is imported by the first call
that needs it.
"""

from autoplace.tracking._error import TrackingError
from autoplace.tracking._imported import import_trials
from autoplace.tracking._journal import Journal
from autoplace.tracking._json import to_json
from autoplace.tracking._ledger import Ledger
from autoplace.tracking._model import fetch_winner, log_winner_model
from autoplace.tracking._probes import fetch_probe, log_probe
from autoplace.tracking._push import INVOCATION_TAG, push_ledger, push_unsent
from autoplace.tracking._records import read_records
from autoplace.tracking._registry import champion, promote, register_predictor
from autoplace.tracking._rows import ROW_COLUMNS, TRIAL_TAG
from autoplace.tracking._run import Run, find_run
from autoplace.tracking._store import Store
from autoplace.tracking._ui import open_ui_command

__all__ = [
    "INVOCATION_TAG",
    "ROW_COLUMNS",
    "TRIAL_TAG",
    "Journal",
    "Ledger",
    "Run",
    "Store",
    "TrackingError",
    "champion",
    "fetch_probe",
    "fetch_winner",
    "find_run",
    "import_trials",
    "log_probe",
    "log_winner_model",
    "open_ui_command",
    "promote",
    "push_ledger",
    "push_unsent",
    "read_records",
    "register_predictor",
    "to_json",
]
