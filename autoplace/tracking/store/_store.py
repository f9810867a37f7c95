"""The MLflow store that everything is written to: where it is, and whether it can be used."""

from __future__ import annotations

import os
import re
import shlex
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from autoplace.tracking._error import TrackingError, translated
from autoplace.tracking.store._access import (
    check_database,
    check_folder,
    check_server,
    check_sqlite,
)
from autoplace.tracking.store._address import read_sqlite, write_sqlite
from autoplace.tracking.store._creation import alone, create_sqlite, database_lock
from autoplace.tracking.store._moved import BESIDE_TAG, adopt, local_path, stale_roots
from autoplace.tracking.store._quiet import quiet_mlflow
from autoplace.tracking.store._schema import check_schema, read_sqlite_schema

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

_FOLDER = "autoplace-store"
_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
RUNS = "runs"  # in a store's folder; it holds the run folders
_DATABASES = ("postgresql", "mysql", "mssql")
_SERVERS = ("http", "https")


class Store:
    """An MLflow tracking store, addressed explicitly and never through MLflow's global state.

    Creating the object touches nothing; `client` opens the store, `check` only looks at it.

    Parameters
    ----------
    uri : str, optional
        `sqlite:///FILE`, a database (`postgresql://`, `mysql://`, `mssql://`) or an MLflow server
        (`http://`, `https://`). The default is MLFLOW_TRACKING_URI, or else
        `autoplace-store/mlflow.db` in the current directory.
    experiment : str, optional
        Name of the experiment that runs are put in. The default is MLFLOW_EXPERIMENT_NAME, or
        else `autoplace/<task name>`.

    Attributes
    ----------
    uri : str
        A relative SQLite path is made absolute, so that a later change of directory has no effect.
    sqlite_path : Path or None
        The SQLite file, None for other kinds of store.
    experiment : str or None
        The experiment's name if one was given.
    folder : Path
        Local folder for run folders and ledgers: the one the SQLite file is in, otherwise
        `autoplace-store` in the current directory.

    Raises
    ------
    TrackingError
        The URI's scheme is not supported.

    Examples
    --------
    >>> store = Store("sqlite:////runs/mlflow.db")
    >>> store.exists
    False
    >>> store.artifact_root
    'file:///runs/artifacts'
    >>> Store("postgresql://me:secret@example.org/runs").address
    'postgresql://me:***@example.org/runs'
    """

    def __init__(self, uri: str | None = None, experiment: str | None = None) -> None:
        given = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{_FOLDER}/mlflow.db"
        self.sqlite_path: Path | None = None
        if sqlite := read_sqlite(given):
            self.sqlite_path, options = sqlite
            self.uri = write_sqlite(self.sqlite_path, options)
        else:
            self.uri = _supported(given)
        self.experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        self.folder = self.sqlite_path.parent if self.sqlite_path else Path.cwd() / _FOLDER
        self._client: MlflowClient | None = None
        self._lock = threading.Lock()

    @property
    def artifact_root(self) -> str | None:
        """URI under which artifacts of new experiments go; None if a server decides it."""
        if urlsplit(self.uri).scheme in _SERVERS:
            return None
        return (self.folder / "artifacts").as_uri()

    @property
    def address(self) -> str:
        """The URI without its password, to be printed; a path is as the user knows it."""
        if self.sqlite_path is not None:
            return f"sqlite:///{self.sqlite_path}"
        parts = urlsplit(self.uri)
        if parts.password is None:
            return self.uri
        return self.uri.replace(f":{parts.password}@", ":***@", 1)

    @property
    def exists(self) -> bool:
        """False only for a SQLite file that is missing or empty: nothing is recorded in it."""
        path = self.sqlite_path
        return path is None or (path.is_file() and path.stat().st_size > 0)

    @property
    def client(self) -> MlflowClient:
        """MLflow's client of this store; the first use creates what does not exist yet.

        Raises
        ------
        TrackingError
            The store cannot be used.
        """
        with self._lock:
            if self._client is None:
                self._look(write=not self.exists)
                if self.sqlite_path is not None and not self.exists:
                    create_sqlite(self.sqlite_path, f"{self.artifact_root}")
                self._client = _connect(self.uri, self.address)
            return self._client

    def check(self, *, write: bool = True) -> list[str]:
        """Check, within seconds, that the store can be used; create nothing.

        MLflow itself would retry for minutes.

        Parameters
        ----------
        write : bool, default=True
            Whether it must be possible to write to it, too.

        Returns
        -------
        list of str
            What the user should know, e.g. that the store was moved.

        Raises
        ------
        TrackingError
            The store cannot be used; the message says why and what to do.
        """
        self._look(write=write)
        if self.experiment is not None:
            self.require_experiment(self.experiment)
        return [
            f"the MLflow store was moved: it names {local_path(root)} as the folder of its "
            f"artifacts; {self.folder / 'artifacts'} is used instead"
            for root in self._stale_roots()
        ]

    def experiment_name(self, task_name: str) -> str:
        """Name of the experiment that runs of a task are put in."""
        return self.experiment or f"autoplace/{task_name}"

    def require_experiment(self, name: str) -> None:
        """Raise TrackingError if the experiment `name` was deleted; it may be missing.

        Examples
        --------
        >>> store = Store()
        >>> store.client.delete_experiment(store.experiment_id("autoplace/digits"))
        >>> store.require_experiment("autoplace/digits")
        Traceback (most recent call last):
        autoplace.tracking._error.TrackingError: the MLflow experiment 'autoplace/digits' was ...
        """
        if self.exists:
            self._find(name)

    def experiment_id(self, name: str) -> str:
        """Id of the experiment `name`, which is created if it is missing.

        Its new artifacts go beside a SQLite database, also if that was moved.

        Raises
        ------
        TrackingError
            The experiment was deleted, or the store cannot be used.
        """
        client = self.client
        from mlflow.exceptions import MlflowException

        self.adopt_moved()
        while (found := self._find(name)) is None:
            with translated(f"create experiment {name!r}", self.address):
                try:
                    return client.create_experiment(
                        name,
                        artifact_location=self.artifact_root,
                        tags={BESIDE_TAG: "true"} if self.sqlite_path else None,
                    )
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                    # Another process was faster.
        return str(found.experiment_id)

    def adopt_moved(self) -> None:
        """Make the records of a moved store name the artifacts that are beside it.

        Raises
        ------
        TrackingError
            The store cannot be changed.
        """
        roots = self._stale_roots()
        if self.sqlite_path is not None and roots:
            adopt(self.sqlite_path, f"{self.artifact_root}", roots)

    def beside(self, run_id: str, artifact_path: str = "") -> Path | None:
        """Where an artifact of a run is beside the database; None if it is not there."""
        if self.sqlite_path is None:
            return None
        path = self.folder / "artifacts" / run_id / "artifacts" / artifact_path
        return path if path.exists() else None

    def run_folder(self, run_id: str) -> Path:
        """Local folder of an invocation: its ledger, its probe and its winner.

        Raises
        ------
        TrackingError
            The id, which a server gives, is no name of a folder.

        Examples
        --------
        >>> Store("sqlite:////runs/mlflow.db").run_folder("../../home")
        Traceback (most recent call last):
        autoplace.tracking._error.TrackingError: '../../home' is not the id of a run; ...
        """
        if _RUN_ID.fullmatch(run_id) is None:
            raise TrackingError(
                f"{run_id!r} is not the id of a run; ids are letters, digits, '-' and '_'"
            )
        return self.folder / RUNS / run_id

    def _look(self, *, write: bool) -> None:
        """Look at the database or server."""
        path = self.sqlite_path
        if path is not None:
            check_sqlite(path, write=write)
            if self.exists:
                check_schema(read_sqlite_schema(path), self.uri, self.address)
            return
        if urlsplit(self.uri).scheme in _SERVERS:
            check_server(self.uri, self.address)
        else:
            check_database(self.uri, self.address)
        if write:
            check_folder(self.folder, self.address)

    def _stale_roots(self) -> list[str]:
        if self.sqlite_path is None or not self.exists:
            return []
        return stale_roots(self.sqlite_path, f"{self.artifact_root}")

    def _find(self, name: str) -> Experiment | None:
        """Look up an experiment; a deleted one is refused."""
        client = self.client
        with translated(f"look up experiment {name!r}", self.address):
            found = client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage == "deleted":
            raise TrackingError(
                f"the MLflow experiment {name!r} was deleted; set MLFLOW_EXPERIMENT_NAME to "
                f"another name, or restore it:\nMLFLOW_TRACKING_URI={shlex.quote(self.uri)} mlflow "
                f"experiments restore --experiment-id {found.experiment_id}"
            )
        return found


def _supported(uri: str) -> str:
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme in _SERVERS:
        return uri.rstrip("/")
    if scheme in _DATABASES:
        return uri
    raise TrackingError(
        f"unsupported MLflow store {uri!r}; use sqlite:///PATH/mlflow.db, "
        "postgresql://, mysql:// or mssql:// (a database), or http(s):// (an MLflow server)"
    )


def _connect(uri: str, address: str) -> MlflowClient:
    quiet_mlflow()  # before the import, which takes seconds and is therefore not at the top
    from mlflow import MlflowClient

    # MLflow makes the tables of a new database; two processes must not do so at once.
    is_database = urlsplit(uri).scheme.partition("+")[0] in _DATABASES
    with (
        translated("open the tables", address, waits=True),
        alone(database_lock(uri)) if is_database else nullcontext(),
    ):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
