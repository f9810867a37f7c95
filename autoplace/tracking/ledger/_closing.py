"""Ends runs that MLflow takes for running: an interrupt or a kill can come at any moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from autoplace.tracking.ledger._events import RUN_STATUS
from autoplace.tracking.store import TRIAL_TAG, Run, RunStatus, Store, search_children, search_runs
from predictors.vocabulary import Status

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun


def close_trials(parent: Run, ended: Mapping[str, Status], status: RunStatus) -> None:
    """End the runs of an invocation's trials: as they ended, or else as the invocation does."""
    _close(parent.store, search_children(parent, running=True), ended, status)


def close_tagged(store: Store, tag: str, value: str, status: RunStatus) -> None:
    """End the runs that have a tag with a value."""
    runs = search_runs(store, f"tags.`{tag}` = '{value}' AND attributes.status = 'RUNNING'")
    _close(store, runs, {}, status)


def _close(
    store: Store, runs: Sequence[MlflowRun], ended: Mapping[str, Status], status: RunStatus
) -> None:
    for found in runs:
        outcome = ended.get(found.data.tags.get(TRIAL_TAG, ""))
        Run.of(store, found).finish(RUN_STATUS[outcome] if outcome else status)
