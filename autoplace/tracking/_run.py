"""One MLflow run: an invocation (parent) or a trial (child), written to by its explicit id."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, TypeVar

from autoplace.tracking._error import TrackingError, translated
from autoplace.tracking._json import to_json
from autoplace.tracking._rows import TRIAL_TAG, encode_row

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from autoplace.tracking._store import Store

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]
Entry = TypeVar("Entry")

# What MLflow takes in one request (mlflow.utils.validation).
_MAX_METRICS = 1000
_MAX_PARAMS = 100
_MAX_TAGS = 100
_MAX_DIGEST = 36


class Run:
    """A run of a store; every method writes at once and may be called from any thread.

    Every method raises TrackingError when the store fails, and only then.

    Attributes
    ----------
    store : Store
    run_id, experiment_id, name : str
    """

    def __init__(self, store: Store, run_id: str, experiment_id: str, name: str) -> None:
        self.store = store
        self.run_id = run_id
        self.experiment_id = experiment_id
        self.name = name

    def start_child(
        self,
        name: str,
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, object] | None = None,
    ) -> Run:
        """Start a run below this one, in the same experiment."""
        return create_run(self.store, self.experiment_id, name, params or {}, tags or {}, self)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record what was decided; values become text. A param cannot change afterwards."""
        from mlflow.entities import Param

        entries = [Param(str(key), str(value)) for key, value in params.items()]
        with self._writing("log params"):
            for part in _parts(entries, _MAX_PARAMS):
                self.store.client.log_batch(self.run_id, params=part)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record what was measured, one request for all; `step` is the epoch, 0 without it."""
        self.log_history([(step or 0, metrics)])

    def log_history(self, history: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Record what was measured at several steps, in one request."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        entries = [
            Metric(key, float(value), now, step)
            for step, metrics in history
            for key, value in metrics.items()
        ]
        with self._writing("log metrics"):
            for part in _parts(entries, _MAX_METRICS):
                self.store.client.log_batch(self.run_id, metrics=part)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags; values become text. A tag may be set again."""
        from mlflow.entities import RunTag

        entries = [RunTag(str(key), str(value)) for key, value in tags.items()]
        with self._writing("set tags"):
            for part in _parts(entries, _MAX_TAGS):
                self.store.client.log_batch(self.run_id, tags=part)

    def log_row(self, row: Mapping[str, object]) -> None:
        """Attach the placement-log row of this trial, from which `read_records` reads it back.

        Raises TrackingError for a column that the placement log does not have.
        """
        self.set_tags({TRIAL_TAG: row["trial_id"], **encode_row(row)})

    def log_dataset(
        self,
        name: str,
        digest: str,
        source: str,
        profile: Mapping[str, object] | None = None,
        context: str = "training",
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
        tags = [InputTag("mlflow.data.context", context)]
        with self._writing("log the data set"):
            self.store.client.log_inputs(self.run_id, [DatasetInput(dataset, tags)])

    def log_table(self, table: pd.DataFrame, path: str) -> None:
        """Write a table to `path`: `.json` (shown as a table in the UI) or `.parquet`.

        A table that is there already is replaced (MLflow's own `log_table` would append to it).
        """
        suffix = PurePosixPath(path).suffix
        if suffix not in (".json", ".parquet"):
            raise TrackingError(f"table {path!r} must end in .json or .parquet")
        with self._artifact(path) as file:
            if suffix == ".parquet":
                table.to_parquet(file, index=False)
            else:
                table.to_json(file, orient="split", index=False, date_format="iso")
        if suffix == ".json":
            self._show_as_table(path)

    def log_figure(self, figure: Figure, path: str) -> None:
        """Write a matplotlib figure to `path`, whose ending gives the format."""
        with self._artifact(path) as file:
            figure.savefig(file, bbox_inches="tight")

    def log_json(self, value: object, path: str) -> None:
        """Write `value` as strict, indented JSON (NaN becomes null)."""
        with self._artifact(path) as file:
            file.write_text(to_json(value, indent=2), encoding="utf-8")

    def log_folder(self, folder: Path | str, artifact_path: str | None = None) -> None:
        """Copy a local folder's content to `artifact_path`, or to the root of the artifacts."""
        with self._writing(f"log the folder {folder}"):
            self.store.client.log_artifacts(self.run_id, str(folder), artifact_path)

    def fetch(self, artifact_path: str) -> Path:
        """Local path of an artifact; copied to a temporary folder only when it is not local."""
        from mlflow.artifacts import download_artifacts

        with translated(f"fetch {artifact_path!r} of run {self.run_id}", self.store.address):
            run = self.store.client.get_run(self.run_id)
            uri = f"{run.info.artifact_uri}/{artifact_path}"
            return Path(download_artifacts(artifact_uri=uri, tracking_uri=self.store.uri))

    def finish(self, status: RunStatus = "FINISHED") -> None:
        """End the run."""
        with self._writing("finish"):
            self.store.client.set_terminated(self.run_id, status)

    def _writing(self, action: str) -> AbstractContextManager[None]:
        return translated(f"{action} of run {self.run_id}", self.store.address)

    @contextmanager
    def _artifact(self, path: str) -> Iterator[Path]:
        target = PurePosixPath(path)
        folder = None if target.parent == PurePosixPath(".") else str(target.parent)
        with tempfile.TemporaryDirectory(prefix="autoplace-") as temporary:
            file = Path(temporary) / target.name
            yield file
            with self._writing(f"log {path!r}"):
                self.store.client.log_artifact(self.run_id, str(file), folder)

    def _show_as_table(self, path: str) -> None:
        # The UI's table view lists what this tag names (mlflow.utils.mlflow_tags).
        tag = "mlflow.loggedArtifacts"
        with self._writing(f"log {path!r}"):
            run = self.store.client.get_run(self.run_id)
        shown = json.loads(run.data.tags.get(tag, "[]"))
        entry = {"path": path, "type": "table"}
        if entry not in shown:
            self.set_tags({tag: json.dumps([*shown, entry])})


def create_run(
    store: Store,
    experiment_id: str,
    name: str,
    params: Mapping[str, object],
    tags: Mapping[str, object],
    parent: Run | None = None,
) -> Run:
    """Create a run through the client: the fluent API would ask which run this thread is in."""
    full_tags = {
        "mlflow.source.name": "autoplace",
        "mlflow.source.type": "LOCAL",
        **{str(key): str(value) for key, value in tags.items()},
    }
    if parent is not None:
        full_tags["mlflow.parentRunId"] = parent.run_id
    with translated(f"start run {name!r}", store.address):
        created = store.client.create_run(experiment_id, tags=full_tags, run_name=name)
    run = Run(store, created.info.run_id, experiment_id, name)
    if params:
        run.log_params(params)
    return run


def find_run(store: Store, run_id: str) -> Run:
    """The run with this id.

    Raises TrackingError for an id that the store does not hold.
    """
    unknown = TrackingError(
        f"no run {run_id!r} in the MLflow store {store.address}; "
        "'autoplace ui' shows the runs, MLFLOW_TRACKING_URI chooses another store"
    )
    if not store.exists:
        raise unknown
    client = store.client
    from mlflow.exceptions import MlflowException

    with translated(f"look up run {run_id!r}", store.address):
        try:
            info = client.get_run(run_id).info
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise unknown from error
    return Run(store, run_id, info.experiment_id, info.run_name)


def _parts(entries: Sequence[Entry], size: int) -> Iterator[Sequence[Entry]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))
