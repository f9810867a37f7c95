"""One MLflow run: an invocation (parent) or a trial (child), written to by its explicit id."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from autoplace.tracking._error import TrackingError, translated
from autoplace.tracking._json import to_json
from autoplace.tracking.store._row_tags import TRIAL_TAG, encode_row
from autoplace.tracking.store._store import Store

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from mlflow.entities import Run as MlflowRun

PARENT_TAG = "mlflow.parentRunId"
RunStatus = Literal["FINISHED", "FAILED", "KILLED"]
# Step, metrics, and when they were measured: milliseconds since 1970 (UTC), None for now.
Point = tuple[int, Mapping[str, float], int | None]
Entry = TypeVar("Entry")

# The most that MLflow takes in one request.
_MAX_METRICS = 1000
_MAX_PARAMS = 100
_MAX_TAGS = 100
_MAX_DIGEST = 36


class Run:
    r"""A run of a store; every method writes at once and may be called from any thread.

    `start_run` and `find_run` return one. Every method raises TrackingError if the store fails.

    Parameters
    ----------
    store : Store
        The store that holds the run.
    run_id, experiment_id, name : str
        The run in MLflow's terms.

    Examples
    --------
    >>> from autoplace.tracking import Store, start_run
    >>> run = start_run(Store(), "digits", "pick digits", {"seed": 0})
    >>> trial = run.start_child("head-only (seed 0)")
    >>> trial.log_metrics({"val_accuracy": 0.91}, step=1)
    >>> trial.finish()
    >>> run.log_json({"winner": "7>3"}, "result.json")
    >>> run.fetch("result.json").read_text()
    '{\n  "winner": "7>3"\n}'
    >>> run.finish()
    """

    def __init__(self, store: Store, run_id: str, experiment_id: str, name: str) -> None:
        self.store = store
        self.run_id = run_id
        self.experiment_id = experiment_id
        self.name = name

    @classmethod
    def of(cls, store: Store, found: MlflowRun) -> Self:
        """Run that a search of the store found."""
        info = found.info
        return cls(store, info.run_id, info.experiment_id, info.run_name or info.run_id)

    def start_child(
        self,
        name: str,
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, object] | None = None,
        at: int | None = None,
    ) -> Run:
        """Start a run below this one, in the same experiment; `at` is in milliseconds."""
        return create_run(self.store, self.experiment_id, name, params or {}, tags or {}, self, at)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record what was decided; values become text. A param cannot change afterwards."""
        from mlflow.entities import Param

        entries = [Param(str(key), str(value)) for key, value in params.items()]
        with self._writing("log params"):
            for part in _parts(entries, _MAX_PARAMS):
                self.store.client.log_batch(self.run_id, params=part)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record what was measured, one request for all; `step` is the epoch, 0 without it."""
        self.log_history([(step or 0, metrics, None)])

    def log_history(self, history: Iterable[Point]) -> None:
        """Record what was measured at several steps, in one request.

        MLflow knows a point by key, time, step and value: the same one again changes nothing.
        """
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        entries = [
            Metric(key, float(value), now if at is None else at, step)
            for step, metrics, at in history
            for key, value in metrics.items()
        ]
        with self._writing("log metrics"):
            for part in _parts(entries, _MAX_METRICS):
                self.store.client.log_batch(self.run_id, metrics=part)

    def read_history(self, key: str) -> set[tuple[int, float]]:
        """Steps and values of a metric that the run has."""
        with self._writing(f"read metric {key!r}"):
            history = self.store.client.get_metric_history(self.run_id, key)
        return {(point.step, point.value) for point in history}

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags; values become text. A tag may be set again."""
        from mlflow.entities import RunTag

        entries = [RunTag(str(key), str(value)) for key, value in tags.items()]
        with self._writing("set tags"):
            for part in _parts(entries, _MAX_TAGS):
                self.store.client.log_batch(self.run_id, tags=part)

    def log_row(self, row: Mapping[str, object]) -> None:
        """Attach the row of this trial, for `read_rows`; its key `trial_id` must be there."""
        self.set_tags({TRIAL_TAG: row["trial_id"], **encode_row(row)})

    def log_dataset(
        self,
        name: str,
        digest: str,
        source: str,
        profile: Mapping[str, object] | None = None,
    ) -> None:
        """Record the data set as an input of this run.

        MLflow keeps 36 characters of `digest`; `profile` says what is in the data (counts of
        images and classes) and is shown beside it.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source_type = "autoplace" if source.startswith("builtin:") else "local"
        dataset = Dataset(
            name=name,
            digest=digest[:_MAX_DIGEST],
            source_type=source_type,
            source=to_json({"uri": source}),
            profile=to_json(profile or {}),
        )
        tags = [InputTag("mlflow.data.context", "training")]
        with self._writing("log the data set"):
            self.store.client.log_inputs(self.run_id, [DatasetInput(dataset, tags)])

    def log_table(self, table: pd.DataFrame, path: str) -> None:
        """Write a table to `path`: `.json` (shown as a table in the UI) or `.parquet`.

        A table that is there already is replaced.
        """
        suffix = PurePosixPath(path).suffix
        if suffix not in (".json", ".parquet"):
            raise TrackingError(f"table {path!r} must end in .json or .parquet")
        if suffix == ".json" and path not in self.list_files(_folder_of(path)):
            # It also tells the UI. A second call would append, so then the file is replaced.
            with self._writing(f"log {path!r}"):
                # pandas 3 warns of the way in which MLflow looks for columns of texts.
                self.store.client.log_table(self.run_id, table.astype(object), path)
            return
        with self._artifact(path) as file:
            if suffix == ".parquet":
                table.to_parquet(file, index=False)
            else:
                table.to_json(file, orient="split", index=False, date_format="iso")

    def log_figure(self, figure: Figure, path: str) -> None:
        """Write a matplotlib figure to `path`, whose ending gives the format."""
        with self._artifact(path) as file:
            figure.savefig(file, bbox_inches="tight")

    def log_json(self, value: object, path: str) -> None:
        """Write `value` as strict, indented JSON (NaN becomes null)."""
        with self._artifact(path) as file:
            file.write_text(to_json(value, indent=2), encoding="utf-8")

    def fetch(self, artifact_path: str) -> Path:
        """Local path of an artifact; copied to a temporary folder only when it is not local."""
        beside = self.store.beside(self.run_id, artifact_path)
        if beside is not None:
            return beside
        from mlflow.artifacts import download_artifacts

        action = f"fetch {artifact_path!r} of run {self.run_id}"
        with translated(action, self.store.address, waits=True):
            run = self.store.client.get_run(self.run_id)
            uri = f"{run.info.artifact_uri}/{artifact_path}"
            return Path(download_artifacts(artifact_uri=uri, tracking_uri=self.store.uri))

    def list_files(self, folder: str | None = None) -> set[str]:
        """Paths of the artifacts in a folder of the run."""
        beside = self.store.beside(self.run_id, folder or "")
        if beside is not None and beside.is_dir():
            return {f"{folder}/{file.name}" if folder else file.name for file in beside.iterdir()}
        with self._writing(f"list the artifacts in {folder or 'the root'!r}"):
            listed = self.store.client.list_artifacts(self.run_id, folder)
        return {file.path for file in listed}

    def finish(self, status: RunStatus = "FINISHED", at: int | None = None) -> None:
        """End the run; `at` is in milliseconds since 1970 (UTC), None for now."""
        with self._writing("finish"):
            self.store.client.set_terminated(self.run_id, status, at)

    def reopen(self) -> None:
        """Have a run that has ended count as RUNNING again."""
        with self._writing("reopen"):
            self.store.client.update_run(self.run_id, "RUNNING")

    def _writing(self, action: str) -> AbstractContextManager[None]:
        return translated(f"{action} of run {self.run_id}", self.store.address)

    @contextmanager
    def _artifact(self, path: str) -> Iterator[Path]:
        # All of it: the disk of temporary files may be full, too.
        with (
            self._writing(f"log {path!r}"),
            tempfile.TemporaryDirectory(prefix="autoplace-") as temporary,
        ):
            file = Path(temporary) / PurePosixPath(path).name
            yield file
            self.store.client.log_artifact(self.run_id, str(file), _folder_of(path))


def start_run(
    store: Store,
    task_name: str,
    run_name: str,
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, object] | None = None,
) -> Run:
    """Start the run of one invocation, in the experiment of its task.

    Parameters
    ----------
    store : Store
        Where to start it; a SQLite store is created if need be.
    task_name : str
        The experiment is `autoplace/<task name>`, unless the store names another.
    run_name : str
        Name of the run, for people.
    params, tags : mapping, optional
        What MLflow shows of the run; values become text.

    Returns
    -------
    Run
        The run, which is RUNNING until `Run.finish`.

    Raises
    ------
    TrackingError
        The store cannot be used.

    Examples
    --------
    >>> from autoplace.tracking import Store
    >>> run = start_run(Store(), "digits", "pick digits", {"seed": 0})
    >>> run.store.client.get_experiment(run.experiment_id).name
    'autoplace/digits'
    >>> run.store.client.get_run(run.run_id).info.status
    'RUNNING'
    """
    experiment_id = store.experiment_id(store.experiment_name(task_name))
    return create_run(store, experiment_id, run_name, params or {}, tags or {})


def create_run(
    store: Store,
    experiment_id: str,
    name: str,
    params: Mapping[str, object],
    tags: Mapping[str, object],
    parent: Run | None = None,
    at: int | None = None,
) -> Run:
    """Create a run through the client: the fluent API would ask which run this thread is in.

    Examples
    --------
    >>> from autoplace.tracking import Store
    >>> store = Store()
    >>> create_run(store, store.experiment_id("notes"), "one", {"lr": 0.1}, {}).name
    'one'
    """
    full_tags = {
        "mlflow.source.name": "autoplace",
        "mlflow.source.type": "LOCAL",
        **{str(key): str(value) for key, value in tags.items()},
    }
    if parent is not None:
        full_tags[PARENT_TAG] = parent.run_id
    with translated(f"start run {name!r}", store.address):
        created = store.client.create_run(experiment_id, at, full_tags, name)
    run = Run(store, created.info.run_id, experiment_id, name)
    if params:
        run.log_params(params)
    return run


def _folder_of(path: str) -> str | None:
    """Folder part of an artifact's path, None at the root."""
    return str(PurePosixPath(path).parent) if "/" in path else None


def _parts(entries: Sequence[Entry], size: int) -> Iterator[Sequence[Entry]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))
