"""A trial as a row of the placement log: the one place where its columns are filled."""

from __future__ import annotations

from typing import Any

import predictors
from autoplace.agent._provenance import git_commit, library_versions
from autoplace.settings import TrialSettings
from autoplace.training import Outcome, Scores, Task, Trial
from predictors.vocabulary import Status


def trial_row(
    task: Task, settings: TrialSettings, trial: Trial, trial_id: str, probe_key: str | None
) -> dict[str, Any]:
    """Fill the columns known before a trial ends; its status is `interrupted` until it does."""
    data = task.data
    kinds = sorted({spec.kind for _, spec in trial.placement})
    columns = dict.fromkeys(column.name for column in predictors.LOG_COLUMNS)
    return columns | {
        "schema_version": predictors.LOG_SCHEMA_VERSION,
        "trial_id": trial_id,
        "task": task.fingerprint,
        "task_name": data.name,
        "family": data.family,
        "family_source": data.family_source,
        "group": data.group,
        "image_digests": " ".join(data.image_digests) or None,
        "backbone": task.chain.name,
        "backbone_sha256": task.chain.weights_sha256,
        "n_nodes": task.chain.n_nodes,
        "probe_key": probe_key,
        "placement": str(trial.placement),
        "adapter_kind": "+".join(kinds) or None,
        "n_edges": len(trial.placement),
        "weight_decay": settings.weight_decay,
        "batch_size": settings.batch_size,
        "epochs": settings.epochs,
        "augment": str(task.augmentation or "none"),
        "precision": _precision(task),
        "seed": trial.seed,
        "status": Status.INTERRUPTED,
        "metric": task.metric,
        "chosen_by": trial.chosen_by,
        "propensity": trial.propensity,
        "versions": library_versions(),
        "git_commit": git_commit(),
    }


def outcome_columns(task: Task, outcome: Outcome, head_only: Outcome | None) -> dict[str, Any]:
    """Fill the columns that the end of a trial adds to its row.

    Parameters
    ----------
    task : Task
        The outcome's task.
    outcome : Outcome
        Done, failed or interrupted.
    head_only : Outcome, optional
        What gains are measured from.
    """
    row: dict[str, Any] = {"status": outcome.status, "failure_reason": outcome.reason}
    if not outcome.is_done:
        return row
    row |= {
        "parameters": outcome.parameters,
        "learning_rate": outcome.learning_rate.value,
        "n_val": len(task.cache("val").readable),
        "seconds": outcome.seconds,
        **_measured(outcome, task.metric),
    }
    if head_only is not None:
        measured = _measured(head_only, task.metric)
        row |= {f"head_only_{name}": value for name, value in measured.items()}
    return row


def _measured(outcome: Outcome, metric: str) -> dict[str, float]:
    columns = {
        "val_metric": outcome.val.of(metric),
        "val_accuracy": outcome.val.accuracy,
        "val_loss": outcome.val.loss,
    }
    test: Scores | None = outcome.test
    if test is not None:
        columns |= {"test_metric": test.of(metric), "test_accuracy": test.accuracy}
    return columns


def _precision(task: Task) -> str:
    """Name what trials compute in, and what they read where that differs."""
    kept = task.cache_precision
    return task.precision if kept == "float32" else f"{task.precision}, cached in {kept}"
