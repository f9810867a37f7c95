"""MLflow's own settings for a quiet client that neither retries for minutes nor phones home."""

from __future__ import annotations

import logging
import os

_SETTINGS = {
    # Its progress in making tables would go to stderr.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # With a server, ending a run would print a link to stdout, where only results belong.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A server that stops while trials run should cost them seconds; the ledger keeps the rest.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    # Nothing about a run leaves the machine unless the user asks for it.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def quiet_mlflow() -> None:
    """Set MLflow's environment variables where the user has not; call before importing mlflow."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    # Prints a traceback for each error of the database, which it raises as well.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
