"""Quick checks that a store is there, answers and can be written."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Literal

from autoplace.tracking._error import TrackingError
from autoplace.tracking.store._creation import alone, database_lock
from autoplace.tracking.store._quiet import quiet_mlflow
from autoplace.tracking.store._schema import Schema, check_schema, connect, read_schema

_TIMEOUT = 5.0  # seconds that a server or database has to answer
_SOME_BYTES = 1 << 16  # more than a disk that is full takes
_REFUSALS = ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED")  # HTTP 401, 403
_HINT = "set MLFLOW_TRACKING_URI, for example to sqlite:///PATH/mlflow.db"
_LOGIN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN"


def check_sqlite(path: Path, *, write: bool) -> None:
    """Raise TrackingError unless `path` is a SQLite file, or can become one.

    Parameters
    ----------
    path : Path
        The file.
    write : bool
        Whether it must be writable, with the folders beside it.
    """
    if path.exists():
        _check_sqlite_file(path, write)
    elif write:
        check_folder(path.parent, str(path))


def check_folder(folder: Path, address: str) -> None:
    """Raise TrackingError unless files can be written in `folder`, or it can be made.

    `address` names the store that the folder belongs to.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise TrackingError(
            f"the MLflow store {address} cannot be written: {folder} is a file; {_HINT}"
        )
    try:
        # Permission bits do not tell all (read-only mounts, full disks, /proc): try it.
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(b"\0" * _SOME_BYTES)
    except OSError as error:
        raise TrackingError(
            f"the MLflow store {address} cannot be written: {folder}: {error.strerror or error}; "
            f"{_cure(error.errno)} or {_HINT}"
        ) from error


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
    """Raise TrackingError unless the database at `uri` answers and its tables can be used."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    def look() -> Schema:
        engine = create_engine(uri)
        try:
            with engine.connect() as connection:
                return read_schema(connection)
        finally:
            engine.dispose()

    try:
        with alone(database_lock(uri)):  # not while another process makes the tables
            schema = _run_within(_TIMEOUT, look)
    except ModuleNotFoundError as error:
        raise TrackingError(
            f"the MLflow store {address} needs the Python package {error.name!r}; install it"
        ) from error
    except (SQLAlchemyError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise TrackingError(
            f"the MLflow store {address} cannot be reached: {reason}\nStart it, or {_HINT}."
        ) from error
    check_schema(schema, uri, address)


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


def _run_within(seconds: float, work: Callable[[], Schema]) -> Schema:
    """Run `work`; raise what it raises, or TimeoutError if it takes longer.

    Each database driver has its own name for its timeout, and some of them wait for ever for a
    server that accepts a connection and then says nothing.
    """
    outcome: Future[Schema] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:
            outcome.set_exception(error)

    Thread(target=run, name="database check", daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError as error:
        if outcome.done():
            raise
        raise TimeoutError(f"no answer within {seconds:g} seconds") from error


def _check_sqlite_file(path: Path, write: bool) -> None:
    if not path.is_file():
        raise TrackingError(f"the MLflow store {path} is not a file; {_HINT}")
    if write:
        for name in ("", "artifacts", "runs"):  # SQLite keeps its journal beside the file
            if (path.parent / name).exists():
                check_folder(path.parent / name, str(path))
    for allowed, what in ((os.R_OK, "readable"), (os.W_OK if write else os.F_OK, "writable")):
        if not os.access(path, allowed):
            raise TrackingError(
                f"the MLflow store {path} is not {what}; change its permissions or {_HINT}"
            )
    try:
        try:
            _open_sqlite(path, "rw" if write else "ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
            _open_sqlite(path, "rw")  # a program was killed while it wrote: SQLite undoes its part
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"the MLflow store {path} cannot be used: {error}; {_sqlite_cure(error)} or {_HINT}"
        ) from error


def _open_sqlite(path: Path, mode: Literal["ro", "rw"]) -> None:
    with closing(connect(path, mode, timeout=_TIMEOUT)) as connection:
        connection.execute("BEGIN IMMEDIATE" if mode == "rw" else "BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master")
        connection.execute("ROLLBACK")


def _sqlite_cure(error: sqlite3.DatabaseError) -> str:
    """What to do about a SQLite file that cannot be opened."""
    if "locked" in str(error):
        return "end the program that uses it"
    if error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK:
        return "make it writable, because a program was killed while it wrote to it,"
    return "move it away"


def _cure(code: int | None) -> str:
    """What to do about a folder in which nothing can be written."""
    match code:
        case errno.EROFS:
            return "copy the store to a disk that can be written"
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return "free some space"
        case _:
            return "change its permissions"
