"""Writes an invocation and its trials to the ledger and to MLflow, in the words of the log."""

from __future__ import annotations

import json
import platform
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import predictors
from autoplace.agent._open import Probed
from autoplace.agent._progress import Progress
from autoplace.execution import InProcessExecutor, TrialOutcome, TrialRequest
from autoplace.settings import Settings, TrialSettings
from autoplace.tracking import ROW_COLUMNS, Journal, Store
from autoplace.training import (
    Epoch,
    Scores,
    Task,
    learning_rate,
    predict_split,
    score,
    trained_model,
)

ROLE_TAG = "autoplace.role"
PACKAGES = ("autoplace", "torch", "timm", "scikit-learn", "lightgbm", "mlflow", "numpy")


class Recorder:
    """One invocation: its parent run and run folder, and a child run per trial.

    As a context manager it ends the run FINISHED, KILLED on an interrupt, else FAILED.

    Attributes
    ----------
    journal : ledger and MLflow, for what is not about trials.
    """

    def __init__(
        self,
        store: Store,
        task: Task,
        command: str,
        settings: Settings,
        trial_settings: TrialSettings,
        progress: Progress,
    ) -> None:
        self.task = task
        self._settings = trial_settings
        self._probe_key: str | None = None
        self._head_only: dict[str, Any] = {}
        # The store that is used, not the one that was asked for, and never its password.
        params = {"data": task.data.source} | settings.as_dict() | {"store": store.address}
        tags = {
            ROLE_TAG: command,
            "autoplace.task": task.fingerprint,
            "autoplace.family": task.data.family,
            "autoplace.group": task.data.group,
            "autoplace.backbone": task.chain.name,
            "autoplace.backbone_sha256": task.chain.weights_sha256,
            "autoplace.git_commit": git_commit() or "unknown",
        }
        data = task.data
        name = f"{command} {data.name}"
        self.journal = Journal(store, data.name, name, params, tags, progress.note)
        self.journal.tell(lambda run: run.log_json(params, "config.json"))
        self.journal.tell(
            lambda run: run.log_dataset(data.name, data.fingerprint, data.source, data.profile())
        )
        if learning_rate(task.chain.name, 1, trial_settings.lr).source == "untuned":
            progress.note(
                f"no learning rate was tuned for {task.chain.name}: a cautious one is used, "
                "--lr sets another"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Images that could not be read, and equal ones across splits: listed, never silent.
        data = self.task.data
        issues = {
            "bad": [vars(image) for image in data.bad_images()],
            "equal_across_splits": [vars(images) for images in data.duplicates()],
            "content_fingerprint": data.content_fingerprint(),
        }
        self.journal.tell(lambda run: run.log_json(issues, "data_issues.json"))
        if kind is None:
            self.journal.finish("FINISHED")
        else:
            # KeyboardInterrupt, or GeneratorExit where a caller wants no more of `collect`.
            self.journal.finish("FAILED" if issubclass(kind, Exception) else "KILLED")

    def probed(self, probed: Probed) -> None:
        """Keep the probe's tables where predictors find them again by their key."""
        self._probe_key = probed.key
        tables = probed.tables
        self.journal.probed(
            probed.key, {"edges": tables.edges, "nodes": tables.nodes, "task": tables.task}
        )

    def run_trials(
        self,
        executor: InProcessExecutor,
        requests: Sequence[TrialRequest],
        *,
        with_test: bool = False,
    ) -> list[tuple[TrialOutcome, dict[str, Any]]]:
        """Run requests side by side and record them; returns each with its row of the log.

        The first head-only outcome becomes the reference that every later row carries. Test
        outcomes are taken only when asked for: they are for evaluation, never for choosing.
        """
        ids = {request: uuid.uuid4().hex for request in requests}
        rows = {request: self._row(ids[request], request) for request in requests}
        for request in requests:
            name = f"{request.role}: {request.placement} (seed {request.seed})"
            params = self._trial_params(request)
            self.journal.open_trial(ids[request], name[:250], params, {ROLE_TAG: request.role})

        def on_epoch(request: TrialRequest, epoch: Epoch) -> None:
            metrics = {"train_loss": epoch.train_loss} | _scores("val", epoch.val)
            self.journal.epoch(ids[request], epoch.number, metrics)

        recorded = []
        try:
            for outcome in executor.run(requests, on_epoch):
                request = outcome.request
                measured = {} if outcome.result is None else self._measured(outcome, with_test)
                row = rows[request] | measured
                row |= {"status": outcome.status, "failure_reason": outcome.reason}
                recorded.append((outcome, row))
                self.journal.close_trial(ids.pop(request), row, _final_metrics(row))
        except BaseException:
            for request, trial_id in ids.items():
                self.journal.close_trial(trial_id, rows[request] | {"status": "interrupted"}, {})
            raise
        return recorded

    def test_scores(self, prefix: str, scores: Mapping[str, float]) -> None:
        """Record test figures on the parent run, e.g. `test/winner/accuracy`."""
        metrics = {f"test/{prefix}/{name}": value for name, value in scores.items()}
        self.journal.tell(lambda run: run.log_metrics(metrics))

    def _trial_params(self, request: TrialRequest) -> dict[str, Any]:
        rate = learning_rate(self.task.chain.name, len(request.placement), self._settings.lr)
        return {
            "placement": str(request.placement),
            "n_edges": len(request.placement),
            "chosen_by": request.chosen_by,
            "seed": request.seed,
            "epochs": self._settings.epochs,
            "batch_size": self._settings.batch_size,
            "learning_rate": rate.value,
            "learning_rate_source": rate.source,
            "weight_decay": self._settings.weight_decay,
        }

    def _row(self, trial_id: str, request: TrialRequest) -> dict[str, Any]:
        """What is known of a trial before it runs."""
        task = self.task
        kinds = sorted({spec.kind for _, spec in request.placement})
        return dict.fromkeys(ROW_COLUMNS) | {
            "schema_version": predictors.LOG_SCHEMA_VERSION,
            "trial_id": trial_id,
            "task": task.fingerprint,
            "task_name": task.data.name,
            "family": task.data.family,
            "group": task.data.group,
            "backbone": task.chain.name,
            "backbone_sha256": task.chain.weights_sha256,
            "n_nodes": task.chain.n_nodes,
            "probe_key": self._probe_key,
            "placement": str(request.placement),
            "adapter_kind": "+".join(kinds) or None,
            "n_edges": len(request.placement),
            "weight_decay": self._settings.weight_decay,
            "batch_size": self._settings.batch_size,
            "epochs": self._settings.epochs,
            "augment": str(task.augmentation or "none"),
            "precision": _precision(task),
            "seed": request.seed,
            "metric": task.metric,
            "chosen_by": request.chosen_by,
            "propensity": request.propensity,
            "versions": library_versions(),
            "git_commit": git_commit(),
        }

    def _measured(self, outcome: TrialOutcome, with_test: bool) -> dict[str, Any]:
        result, metric = outcome.result, self.task.metric
        assert result is not None
        row: dict[str, Any] = {
            "parameters": result.parameters,
            "learning_rate": result.learning_rate.value,
            "val_metric": result.val.of(metric),
            "val_accuracy": result.val.accuracy,
            "val_loss": result.val.loss,
            "seconds": result.seconds,
        }
        if with_test:
            test = score(*predict_split(self.task, trained_model(self.task, result), "test"))
            row |= {"test_metric": test.of(metric), "test_accuracy": test.accuracy}
        outcomes = ("val_metric", "val_accuracy", "val_loss", "test_metric", "test_accuracy")
        if not len(result.placement) and not self._head_only:
            self._head_only = {f"head_only_{name}": row[name] for name in outcomes if name in row}
        return row | self._head_only


def _precision(task: Task) -> str:
    """What trials compute in, and what they read where that differs."""
    kept = task.cache_precision
    return task.precision if kept == "float32" else f"{task.precision}, cached in {kept}"


def _final_metrics(row: Mapping[str, Any]) -> dict[str, float]:
    names = ("parameters", "seconds", "test_metric", "test_accuracy")
    return {name: row[name] for name in names if row.get(name) is not None}


def _scores(split: str, scores: Scores) -> dict[str, float]:
    return {
        f"{split}_accuracy": scores.accuracy,
        f"{split}_balanced_accuracy": scores.balanced_accuracy,
        f"{split}_macro_f1": scores.macro_f1,
        f"{split}_loss": scores.loss,
    }


@cache
def library_versions() -> str:
    """Versions that an outcome may depend on, as a JSON object."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # run from a source folder that was never installed
    return json.dumps(found)


@cache
def git_commit() -> str | None:
    """Commit of autoplace's own source, where it runs from a checkout."""
    here = Path(__file__).parent
    try:
        out = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return out.stdout.strip()
