"""The MLflow store that everything is written to: where it is, and whether it can be used."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from autoplace.tracking._error import TrackingError, translated
from autoplace.tracking.store._access import check_database, check_server, check_sqlite
from autoplace.tracking.store._quiet import quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient

_FOLDER = "autoplace-store"
_SQLITE = "sqlite:///"
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
        given = uri or os.environ.get("MLFLOW_TRACKING_URI")
        self.uri = _absolute(given or f"{_SQLITE}{_FOLDER}/mlflow.db")
        self.experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        path = self.sqlite_path
        self.folder = path.parent if path else Path.cwd() / _FOLDER
        self._client: MlflowClient | None = None
        self._lock = threading.Lock()

    @property
    def sqlite_path(self) -> Path | None:
        """The SQLite file, None for other kinds of store."""
        if not self.uri.startswith(_SQLITE):
            return None
        return Path(self.uri.removeprefix(_SQLITE).partition("?")[0])

    @property
    def artifact_root(self) -> str | None:
        """URI under which artifacts of new experiments go; None if a server decides it."""
        if urlsplit(self.uri).scheme in _SERVERS:
            return None
        return (self.folder / "artifacts").as_uri()

    @property
    def address(self) -> str:
        """The URI without its password, to be printed."""
        parts = urlsplit(self.uri)
        if parts.password is None:
            return self.uri
        return self.uri.replace(f":{parts.password}@", ":***@", 1)

    @property
    def exists(self) -> bool:
        """False only for a SQLite file that has not been created yet, so that it holds nothing."""
        path = self.sqlite_path
        return path is None or path.is_file()

    @property
    def client(self) -> MlflowClient:
        """MLflow's client of this store; the first use creates what does not exist yet.

        Raises
        ------
        TrackingError
            The store cannot be used.
        """
        # Two threads that open a new SQLite file at once would both migrate it.
        with self._lock:
            if self._client is None:
                self.check()
                self._client = _connect(self.uri, self.address)
            return self._client

    def check(self) -> None:
        """Check, within seconds, that the store can be reached and written; create nothing.

        MLflow itself would retry for minutes.

        Raises
        ------
        TrackingError
            The store cannot be used; the message says why and what to do.
        """
        path = self.sqlite_path
        if path is not None:
            check_sqlite(path)
        elif urlsplit(self.uri).scheme in _SERVERS:
            check_server(self.uri, self.address)
        else:
            check_database(self.uri, self.address)

    def experiment_id(self, name: str) -> str:
        """Id of the experiment `name`, which is created if it is missing.

        Raises
        ------
        TrackingError
            The experiment was deleted, or the store cannot be used.
        """
        client = self.client
        from mlflow.exceptions import MlflowException

        with translated(f"open experiment {name!r}", self.address):
            found = client.get_experiment_by_name(name)
            if found is None:
                try:
                    return client.create_experiment(name, artifact_location=self.artifact_root)
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                    found = client.get_experiment_by_name(name)  # another process was faster
        if found is None or found.lifecycle_stage == "deleted":
            raise TrackingError(
                f"the MLflow experiment {name!r} was deleted; restore it in the MLflow UI "
                "or set MLFLOW_EXPERIMENT_NAME to another name"
            )
        return found.experiment_id


def _absolute(uri: str) -> str:
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme in _SERVERS or scheme in _DATABASES:
        return uri.rstrip("/") if scheme in _SERVERS else uri
    # In memory (`sqlite://`) nothing would be left to look at, and threads see separate stores.
    if uri.startswith(_SQLITE) and uri.removeprefix(_SQLITE).strip("/"):
        path, mark, query = uri.removeprefix(_SQLITE).partition("?")
        return f"{_SQLITE}{Path(path).absolute()}{mark}{query}"
    raise TrackingError(
        f"unsupported MLflow store {uri!r}; use sqlite:///PATH/mlflow.db, "
        "postgresql://, mysql:// or mssql:// (a database), or http(s):// (an MLflow server)"
    )


def _connect(uri: str, address: str) -> MlflowClient:
    quiet_mlflow()  # before the import, which takes seconds and is therefore not at the top
    from mlflow import MlflowClient

    with translated("open the tables", address):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
