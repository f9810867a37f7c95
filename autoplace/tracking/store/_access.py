"""Quick checks that a store is there, answers and can be written."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from autoplace.tracking._error import TrackingError
from autoplace.tracking.store._quiet import quiet_mlflow

_TIMEOUT = 5.0  # seconds that a server or database has to answer
_REFUSALS = ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED")  # HTTP 401, 403
_HINT = "set MLFLOW_TRACKING_URI, for example to sqlite:///PATH/mlflow.db"
_LOGIN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN"


def check_sqlite(path: Path) -> None:
    """Raise TrackingError unless `path` is, or can become, a writable SQLite file."""
    if path.exists():
        _check_sqlite_file(path)
        return
    ancestor = path.parent
    while not ancestor.exists() and ancestor != ancestor.parent:
        ancestor = ancestor.parent
    if not ancestor.is_dir():
        raise TrackingError(
            f"the MLflow store {path} cannot be created: {ancestor} is a file; {_HINT}"
        )
    _check_folder(ancestor, path)


def check_server(uri: str, address: str) -> None:
    """Raise TrackingError unless an MLflow server answers at `uri` and grants access."""
    import requests

    quiet_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        with _short_requests():
            MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
    except MlflowException as error:
        # MLflow raises its own error for everything; its context tells silence from an answer.
        if isinstance(error.__context__, requests.ConnectionError | requests.Timeout):
            raise TrackingError(
                f"no MLflow server answers at {address}; start it, check the address, or {_HINT}"
            ) from error
        if error.error_code in _REFUSALS:
            raise TrackingError(
                f"the MLflow server at {address} refuses access ({error.error_code}); {_LOGIN}"
            ) from error
        if isinstance(error.__context__, requests.exceptions.RetryError):
            reason = "it fails or is overloaded (HTTP 429 or 5xx)"
        else:
            reason = str(error).partition(". Response body")[0].partition("\n")[0][:200]
        # A proxy that refuses in words of its own ends up here, too.
        raise TrackingError(
            f"{address} does not answer as an MLflow server: {reason}\n"
            f"Check the address, or if it needs a login {_LOGIN}, or {_HINT}."
        ) from error


def check_database(uri: str, address: str) -> None:
    """Raise TrackingError unless the database at `uri` accepts a connection."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    def connect() -> None:
        engine = create_engine(uri)
        engine.connect().close()
        engine.dispose()

    try:
        _run_within(_TIMEOUT, connect)
    except ModuleNotFoundError as error:
        raise TrackingError(
            f"the MLflow store {address} needs the Python package {error.name!r}; install it"
        ) from error
    except (SQLAlchemyError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise TrackingError(
            f"the MLflow store {address} cannot be reached: {reason}\nStart it, or {_HINT}."
        ) from error


@contextmanager
def _short_requests() -> Iterator[None]:
    """Make MLflow's client give up after one short request; its settings are put back."""
    settings = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": f"{_TIMEOUT:.0f}",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _run_within(seconds: float, work: Callable[[], None]) -> None:
    """Run `work`; raise what it raises, or TimeoutError if it takes longer.

    Each database driver has its own name for its timeout, and some of them wait for ever for a
    server that accepts a connection and then says nothing.
    """
    outcome: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except Exception as error:
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    Thread(target=run, name="database check", daemon=True).start()
    try:
        outcome.result(seconds)
    except TimeoutError as error:
        if outcome.done():
            raise
        raise TimeoutError(f"no answer within {seconds:g} seconds") from error


def _check_sqlite_file(path: Path) -> None:
    if not path.is_file():
        raise TrackingError(f"the MLflow store {path} is not a file; {_HINT}")
    if not os.access(path, os.W_OK):
        raise TrackingError(
            f"the MLflow store {path} is not writable; change its permissions or {_HINT}"
        )
    _check_folder(path.parent, path)  # SQLite keeps its journal beside the file
    try:
        with sqlite3.connect(path, timeout=_TIMEOUT, isolation_level=None) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("SELECT count(*) FROM sqlite_master")
            connection.execute("ROLLBACK")
        connection.close()
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"the MLflow store {path} cannot be used: {error}; move it away or {_HINT}"
        ) from error


def _check_folder(folder: Path, path: Path) -> None:
    try:
        # Permission bits do not tell all (read-only mounts, full disks, /proc): try it.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise TrackingError(
            f"the MLflow store {path} cannot be written: {folder}: {error.strerror or error}; "
            f"change its permissions or {_HINT}"
        ) from error
