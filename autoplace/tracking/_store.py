"""The MLflow store that everything is written to: where it is, and whether it can be used."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from autoplace.tracking._access import check_database, check_server, check_sqlite
from autoplace.tracking._error import TrackingError, translated
from autoplace.tracking._run import Run, create_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

_FOLDER = "autoplace-store"
_SQLITE = "sqlite:///"
_DATABASES = ("postgresql", "mysql", "mssql")
_SERVERS = ("http", "https")


class Store:
    """An MLflow tracking store, addressed explicitly and never through MLflow's global state.

    Making one costs nothing and touches nothing; `client` opens it, `check` only looks.

    Parameters
    ----------
    uri : str, optional
        `sqlite:///FILE`, a database (`postgresql://`, `mysql://`, `mssql://`) or an MLflow server
        (`http://`, `https://`). Without it MLFLOW_TRACKING_URI, without that
        `autoplace-store/mlflow.db` in the working directory.
    experiment : str, optional
        Name of the experiment of every run. Without it MLFLOW_EXPERIMENT_NAME, without that
        `autoplace/<task name>`.

    Attributes
    ----------
    uri : str
        Absolute: a relative SQLite path is resolved against the working directory of now.
    folder : Path
        Local folder for run folders and ledgers: the one the SQLite file is in, otherwise
        `autoplace-store` in the working directory.

    Raises
    ------
    TrackingError
        The scheme is not supported.
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
        """URI under which artifacts of new experiments go; None where a server decides."""
        if urlsplit(self.uri).scheme in _SERVERS:
            return None
        return (self.folder / "artifacts").as_uri()

    @property
    def address(self) -> str:
        """The URI as it may be printed: without a password."""
        parts = urlsplit(self.uri)
        if parts.password is None:
            return self.uri
        return self.uri.replace(f":{parts.password}@", ":***@", 1)

    @property
    def exists(self) -> bool:
        """False only for a SQLite file that has not been made yet, so that it holds nothing."""
        path = self.sqlite_path
        return path is None or path.is_file()

    @property
    def client(self) -> MlflowClient:
        """The client of this very store; the first use creates what does not exist yet.

        Raises TrackingError when the store cannot be used.
        """
        # Two threads that open a new SQLite file at once would both migrate it.
        with self._lock:
            if self._client is None:
                self.check()
                self._client = _connect(self.uri, self.address)
            return self._client

    def check(self) -> None:
        """Raise TrackingError, within seconds, unless the store is reachable and writable.

        MLflow itself retries for minutes. Creates nothing.
        """
        path = self.sqlite_path
        if path is not None:
            check_sqlite(path)
        elif urlsplit(self.uri).scheme in _SERVERS:
            check_server(self.uri, self.address)
        else:
            check_database(self.uri, self.address)

    def start_run(
        self,
        task_name: str,
        run_name: str,
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, object] | None = None,
    ) -> Run:
        """Start the run of one invocation in the experiment of its task.

        Raises TrackingError when the store cannot be used.
        """
        experiment_id = self.experiment_id(self.experiment or f"autoplace/{task_name}")
        return create_run(self, experiment_id, run_name, params or {}, tags or {})

    def experiment_id(self, name: str) -> str:
        """Id of the experiment `name`, which is created where it is missing.

        Raises TrackingError for an experiment that was deleted, or when the store cannot be used.
        """
        from mlflow.exceptions import MlflowException

        client = self.client
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
    # Imported here because mlflow takes seconds to import, and `import autoplace` must not.
    from autoplace.tracking._quiet import quiet_mlflow

    quiet_mlflow()
    from mlflow import MlflowClient

    with translated("open the tables", address):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
