"""MLflow's chatter, turned down to what a user of this tool can act on."""

from __future__ import annotations

import logging
import os

# Each tells of work that went as planned: tables created, examples checked.
_CHATTY = (
    "alembic",
    "mlflow.models.model",
    "mlflow.pyfunc",
    "mlflow.store.db.utils",
    "mlflow.tracking.fluent",
)


def quiet_mlflow() -> None:
    """Keep MLflow's progress notes off stderr and its links off stdout, which holds results.

    Loggers whose level the user has set, and MLflow's own switches, are left as they are.
    """
    for name in _CHATTY:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
    # With a server, ending a run would print a link to stdout; there is no argument for it.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
