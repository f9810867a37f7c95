"""MLflow's chatter, turned down to what a user of this tool can act on."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# They tell that tables were created as planned.
_STORE_LOGGERS = ("alembic", "mlflow.store.db.utils")
# They give hints to developers of models: type hints, missing examples and signatures.
_MODEL_LOGGERS = ("mlflow.models.model", "mlflow.pyfunc", "mlflow.types.utils")


def quiet_mlflow() -> None:
    """Keep MLflow's progress off stderr, its links off stdout (results only), its retries short.

    Loggers whose level the user has set, and MLflow's own switches, are left as they are.
    """
    for name in _STORE_LOGGERS:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
    # With a server, ending a run would print a link to stdout; there is no argument for it.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # A server that dies while trials run must cost them seconds, not MLflow's minutes of retries:
    # the ledger holds what it misses.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")


@contextmanager
def hushed_model_hints() -> Iterator[None]:
    """Silence, inside, MLflow's hints to developers of models; errors still come through."""
    loggers = [logging.getLogger(name) for name in _MODEL_LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
