"""Ends runs that MLflow takes for running: an interrupt or a kill can come at any moment."""

from __future__ import annotations

from collections.abc import Mapping

from autoplace.tracking.ledger._events import RUN_STATUS
from autoplace.tracking.store import TRIAL_TAG, Run, RunStatus, Store, search_runs
from predictors.vocabulary import Status


def close_trials(parent: Run, ended: Mapping[str, Status], status: RunStatus) -> None:
    """End the runs of an invocation's trials: as they ended, or else as the invocation does."""
    condition = f"tags.`mlflow.parentRunId` = '{parent.run_id}'"
    _close(parent.store, condition, ended, status)


def close_tagged(store: Store, tag: str, value: str, status: RunStatus) -> None:
    """End the runs that have a tag with a value."""
    _close(store, f"tags.`{tag}` = '{value}'", {}, status)


def _close(store: Store, condition: str, ended: Mapping[str, Status], status: RunStatus) -> None:
    for found in search_runs(store, f"{condition} AND attributes.status = 'RUNNING'"):
        outcome = ended.get(found.data.tags.get(TRIAL_TAG, ""))
        Run.of(store, found).finish(RUN_STATUS[outcome] if outcome else status)
