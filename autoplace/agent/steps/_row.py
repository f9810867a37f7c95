"""A trial as a row of the placement log; its columns are filled only here."""

from __future__ import annotations

import json
from typing import Any

import predictors
from autoplace.agent.steps._provenance import git_commit, library_versions
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import OPTIMISER, Outcome, Remedy, Task
from predictors.vocabulary import Protocol


def trial_row(
    task: Task,
    settings: TrialSettings,
    outcome: Outcome,
    head_only: Outcome | None,
    trial_id: str,
    probe_key: str,
) -> dict[str, Any]:
    """Fill every column of a trial's row; values that were not measured are None.

    Parameters
    ----------
    task : Task
        The task that the trial ran on.
    settings : TrialSettings
        How it was trained.
    outcome : Outcome
        A done, failed, pruned or interrupted outcome.
    head_only : Outcome or None
        The outcome that gains are measured from.
    trial_id : str
        Unique name of the trial.
    probe_key : str
        Key of the probe that describes the task.
    """
    data, trial = task.data, outcome.trial
    assert isinstance(trial.placement, Placement), f"{trial} is no placement"
    kinds = sorted({spec.kind for _, spec in trial.placement})
    row: dict[str, Any] = dict.fromkeys(column.name for column in predictors.LOG_COLUMNS)
    row |= {
        "schema_version": predictors.LOG_SCHEMA_VERSION,
        "trial_id": trial_id,
        "task": task.fingerprint,
        "task_name": data.name,
        "family": data.family,
        "family_source": str(data.family_source),
        "group": data.group,
        "image_digests": " ".join(data.image_digests) or None,
        "backbone": task.chain.name,
        "backbone_sha256": task.chain.weights_sha256,
        "n_nodes": task.chain.n_nodes,
        "probe_key": probe_key,
        "placement": str(trial.placement),
        "adapter_kind": "+".join(kinds) or None,
        "n_edges": len(trial.placement),
        "optimiser": OPTIMISER,
        "weight_decay": settings.weight_decay,
        "batch_size": settings.batch_size,
        # One that stopped early is not comparable with whole ones.
        "epochs": len(outcome.epochs) if outcome.is_done else trial.epochs or settings.epochs,
        "protocol": str(Protocol.FOUND_RATE if settings.lr is None else Protocol.GIVEN_RATE),
        "augment": str(task.augmentation or "none"),
        "precision": _precision(task, outcome.remedy),
        "remedy": None if outcome.remedy is None else str(outcome.remedy),
        "seed": trial.seed,
        "status": str(outcome.status),
        "failure_reason": outcome.reason,
        "metric": task.metric,
        "chosen_by": str(trial.chosen_by),
        "propensity": trial.propensity,
        "versions": library_versions(),
        "git_commit": git_commit(),
    }
    if outcome.is_done:
        row |= {
            "parameters": outcome.parameters,
            "learning_rate": outcome.learning_rate,
            "rates": json.dumps(outcome.rates) if outcome.rates else None,
            "n_val": len(task.readable("val")),
            "n_measured": None if outcome.measured is None else len(task.readable("measurement")),
            "seconds": outcome.seconds,
            **_measured(outcome, task.metric),
        }
        if head_only is not None:
            reference = _measured(head_only, task.metric)
            row |= {f"head_only_{name}": value for name, value in reference.items()}
    return row


def _measured(outcome: Outcome, metric: str) -> dict[str, float]:
    """Return the outcome columns of a finished trial."""
    columns = {
        "val_metric": outcome.val.of(metric),
        "val_accuracy": outcome.val.accuracy,
        "val_loss": outcome.val.loss,
    }
    if outcome.measured is not None:
        columns |= {
            "measured_metric": outcome.measured.of(metric),
            "measured_accuracy": outcome.measured.accuracy,
            "measured_loss": outcome.measured.loss,
        }
    if outcome.test is not None:
        columns |= {
            "test_metric": outcome.test.of(metric),
            "test_accuracy": outcome.test.accuracy,
        }
    return columns


def _precision(task: Task, remedy: Remedy | None) -> str:
    """Name the precision of trials, and of their cache if it differs."""
    if remedy is not None and remedy.float32:
        return "float32"
    kept = task.cache_precision
    return task.precision if kept == "float32" else f"{task.precision}, cached in {kept}"
