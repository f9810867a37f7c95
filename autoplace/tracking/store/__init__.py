"""The MLflow store: where it is, its runs, and the rows and probes that are kept with them."""

from autoplace.tracking.store._imported import import_rows
from autoplace.tracking.store._probes import find_probe, log_probe
from autoplace.tracking.store._row_tags import TRIAL_TAG, decode_row
from autoplace.tracking.store._rows import read_rows
from autoplace.tracking.store._run import Point, Run, RunStatus, create_run, start_run
from autoplace.tracking.store._search import find_run, search_children, search_runs
from autoplace.tracking.store._store import RUNS, Store
from autoplace.tracking.store._ui import open_ui_command, run_ui

__all__ = [
    "RUNS",
    "TRIAL_TAG",
    "Point",
    "Run",
    "RunStatus",
    "Store",
    "create_run",
    "decode_row",
    "find_probe",
    "find_run",
    "import_rows",
    "log_probe",
    "open_ui_command",
    "read_rows",
    "run_ui",
    "search_children",
    "search_runs",
    "start_run",
]
