"""Creates the tables of a new store: once, and completely or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from autoplace.tracking._error import TrackingError, translated
from autoplace.tracking.store._address import write_sqlite
from autoplace.tracking.store._quiet import quiet_mlflow
from autoplace.tracking.store._schema import connect, read_sqlite_schema

_PATIENCE = 600.0  # seconds to wait for a process that creates the store


def create_sqlite(path: Path, artifact_root: str) -> None:
    """Make the file `path` with MLflow's tables, unless another process is faster.

    MLflow makes the tables in many steps that take seconds, so it works on a file with another
    name. If it is killed, no half-made store is left behind, and no process sees one.

    Raises
    ------
    TrackingError
        The file cannot be created.
    """
    quiet_mlflow()  # before the import, which takes seconds and is therefore not at the top
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    with translated("create the tables", f"sqlite:///{path}", waits=True), alone(lock):
        if _has_tables(path):
            return
        for left in path.parent.glob(f"{path.name}.*.new*"):  # by a process that was killed
            left.unlink(missing_ok=True)
        new = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new")
        try:
            _make_tables(new)
            with closing(connect(new, "rw")) as connection:
                # MLflow's own experiment would put its artifacts into the current directory.
                connection.execute(
                    "UPDATE experiments SET artifact_location = ?", (f"{artifact_root}/0",)
                )
            os.replace(new, path)
        finally:
            new.unlink(missing_ok=True)


def database_lock(uri: str) -> Path:
    """File that keeps the processes of one user and machine from making the same tables at once."""
    digest = hashlib.sha256(uri.encode(errors="replace")).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"autoplace-{os.getuid()}-{digest}.lock"


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process, or thread, holds the lock, and hold it.

    Raises
    ------
    TrackingError
        Another process has held it for ten minutes.
    """
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock, timeout=_PATIENCE):
            yield
    except Timeout:
        raise TrackingError(
            f"another process has been creating the MLflow store for {_PATIENCE:.0f} s; "
            f"end it, or remove {lock} if there is none"
        ) from None


def _make_tables(path: Path) -> None:
    from mlflow import MlflowClient

    uri = write_sqlite(path, {})
    MlflowClient(tracking_uri=uri, registry_uri=uri)


def _has_tables(path: Path) -> bool:
    return path.is_file() and bool(read_sqlite_schema(path).tables)
