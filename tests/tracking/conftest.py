"""Stores of the room's own, away from those of whoever runs the tests."""

from __future__ import annotations

import pytest

from autoplace.tracking import Store


@pytest.fixture(autouse=True)
def _no_store_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store(new_store) -> Store:
    return new_store()


@pytest.fixture
def make_row():
    """Makes rows of finished trials, as long and as mixed as those of the placement log."""

    def make(trial_id: str, **changes: object) -> dict[str, object]:
        row: dict[str, object] = {
            "schema_version": 2,
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
            "augment": "none",
            "precision": "float32",
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
        return row | changes

    return make
