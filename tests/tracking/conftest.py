"""Real SQLite stores: tables are created once a session (seconds), then the file is copied."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autoplace.tracking import ROW_COLUMNS, Store


@pytest.fixture(autouse=True)
def _no_store_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def first_use(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder in which a new process made the default store, and what that process said."""
    folder = tmp_path_factory.mktemp("first")
    code = "from autoplace.tracking import Store; Store().start_run('first', 'run').finish()"
    unset = {"MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in unset},
        capture_output=True,
        text=True,
    )
    return folder, done


@pytest.fixture
def new_store(first_use, tmp_path):
    """Makes stores by name, each with its own database and artifacts."""

    def make(name: str = "store") -> Store:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(first_use[0] / "autoplace-store" / "mlflow.db", folder)
        return Store(f"sqlite:///{folder}/mlflow.db")

    return make


@pytest.fixture
def store(new_store) -> Store:
    return new_store()


@pytest.fixture
def make_row():
    """Makes placement-log rows of finished trials."""

    def make(trial_id: str, **changes: object) -> dict[str, object]:
        row: dict[str, object] = {
            "schema_version": 1,
            "trial_id": trial_id,
            "task": "f00d",
            "task_name": "digits",
            "family": "digits",
            "group": "digits",
            "backbone": "starter",
            "backbone_sha256": "ab" * 32,
            "n_nodes": 25,
            "probe_key": "p1",
            "placement": "7>3@bottleneck:r=8",
            "adapter_kind": "bottleneck",
            "n_edges": 1,
            "parameters": 1632,
            "learning_rate": 1e-3,
            "weight_decay": 0.01,
            "batch_size": 64,
            "epochs": 8,
            "seed": 0,
            "status": "done",
            "failure_reason": None,
            "metric": "accuracy",
            "val_metric": 0.9,
            "val_accuracy": 0.9,
            "val_loss": 0.4,
            "test_metric": float("nan"),
            "test_accuracy": float("nan"),
            "head_only_val_metric": 0.8,
            "head_only_val_accuracy": 0.8,
            "head_only_val_loss": 0.6,
            "head_only_test_metric": float("nan"),
            "head_only_test_accuracy": float("nan"),
            "chosen_by": "predictor",
            "propensity": 0.5,
            "seconds": 3.5,
            "versions": "{}",
            "git_commit": "0" * 40,
        }
        assert list(row) == list(ROW_COLUMNS)
        return row | changes

    return make
