"""Quick looks at a store: is it there, does it answer, may it be written to?"""

from __future__ import annotations

import os
import socket
import sqlite3
import tempfile
from pathlib import Path

from autoplace.tracking._error import TrackingError

_TIMEOUT = 5.0  # seconds that a server is given to answer
_HINT = "set MLFLOW_TRACKING_URI, for example to sqlite:///PATH/mlflow.db"


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
            f"the MLflow store {path} cannot be made: {ancestor} is a file; {_HINT}"
        )
    _check_folder(ancestor, path)


def check_server(uri: str, address: str) -> None:
    """Raise TrackingError unless an MLflow server answers at `uri` and lets us in."""
    import requests

    # requests' own errors come wrapped in MlflowException; without retries both come at once.
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        response = http_request(
            get_default_host_creds(uri),
            "/api/2.0/mlflow/experiments/search",
            "GET",
            max_retries=0,
            timeout=_TIMEOUT,
            raise_on_status=False,
            params={"max_results": 1},
        )
    except (MlflowException, requests.RequestException, OSError) as error:
        raise TrackingError(
            f"no MLflow server answers at {address}; start it, check the address, or {_HINT}"
        ) from error
    if response.status_code in (401, 403):
        raise TrackingError(
            f"the MLflow server at {address} refuses access (HTTP {response.status_code}); "
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN"
        )
    if response.status_code != 200:
        raise TrackingError(
            f"{address} does not answer as an MLflow server (HTTP {response.status_code}); "
            f"check the address or {_HINT}"
        )


def check_database(uri: str, address: str) -> None:
    """Raise TrackingError unless the database at `uri` accepts a connection."""
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import SQLAlchemyError

    url = make_url(uri)
    try:
        if url.host:
            # A host that swallows packets would hold the driver for minutes.
            ports = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
            port = url.port or ports[url.get_backend_name()]
            socket.create_connection((url.host, port), timeout=_TIMEOUT).close()
        engine = create_engine(url)
        engine.connect().close()
        engine.dispose()
    except ModuleNotFoundError as error:
        raise TrackingError(
            f"the MLflow store {address} needs the Python package {error.name!r}; install it"
        ) from error
    except (SQLAlchemyError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise TrackingError(
            f"the MLflow store {address} cannot be reached: {reason}\nStart it, or {_HINT}."
        ) from error


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
