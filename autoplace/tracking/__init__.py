"""Everything that is written to and read from MLflow, and the crash-safe ledger.

`store` holds runs, rows and probes in MLflow; `ledger` is the record of an invocation on disk,
which is sent to MLflow later if need be; `models` keeps winners and predictors as MLflow models.

Importing this room is cheap: mlflow, which takes seconds to import, is imported by the first call
that needs it.
"""

from autoplace.tracking._error import ProbeMissingError, TrackingError, WriteError
from autoplace.tracking._json import to_json
from autoplace.tracking.ledger import (
    EventKind,
    Journal,
    Ledger,
    Past,
    fetch_probe,
    open_past,
    push_unsent,
)
from autoplace.tracking.models import (
    PREDICTOR_EXPERIMENT,
    champion,
    fetch_winner,
    log_winner_model,
    promote,
    register_version,
)
from autoplace.tracking.store import (
    Run,
    Store,
    find_run,
    import_rows,
    log_probe,
    open_ui_command,
    read_rows,
    run_ui,
    start_run,
)

__all__ = [
    "PREDICTOR_EXPERIMENT",
    "EventKind",
    "Journal",
    "Ledger",
    "Past",
    "ProbeMissingError",
    "Run",
    "Store",
    "TrackingError",
    "WriteError",
    "champion",
    "fetch_probe",
    "fetch_winner",
    "find_run",
    "import_rows",
    "log_probe",
    "log_winner_model",
    "open_past",
    "open_ui_command",
    "promote",
    "push_unsent",
    "read_rows",
    "register_version",
    "run_ui",
    "start_run",
    "to_json",
]
