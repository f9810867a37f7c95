"""Brings what a ledger holds to MLflow once it can be reached again, without duplicates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoplace.tracking._error import TrackingError
from autoplace.tracking._ledger import Ledger, merge_trials
from autoplace.tracking._probes import TABLES, log_probe
from autoplace.tracking._records import search_all
from autoplace.tracking._rows import TRIAL_TAG, decode_row
from autoplace.tracking._run import Run, RunStatus, find_run
from autoplace.tracking._store import Store

INVOCATION_TAG = "autoplace.invocation"
UNSENT, SENT = "unsent", "sent"  # ledger events: MLflow was lost, and has caught up since
_OVER: dict[str, RunStatus] = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


def push_unsent(store: Store) -> int:
    """Push every ledger of the store's folder whose invocation lost MLflow; returns how many.

    Raises TrackingError when a ledger cannot be read, or the store cannot be used.
    """
    pushed = 0
    for path in sorted(store.folder.glob("runs/*/ledger.jsonl")):
        events = [event.get("event") for event in Ledger.read(path)]
        # Without its end the invocation may still be running, and writing more.
        if UNSENT in events and "finish" in events and SENT not in events:
            push_ledger(store, path)
            Ledger(path).append({"event": SENT})
            pushed += 1
    return pushed


def push_ledger(store: Store, path: Path | str) -> int:
    """Create or complete, in MLflow, the trials of a ledger that it lacks.

    A trial is known by its id (tag `autoplace.trial_id`) among the children of its invocation,
    the invocation by its MLflow run id or by its tag `autoplace.invocation`. Pushing again, also
    after a push that broke off, adds nothing twice. Trials that are not over are left out.

    Returns
    -------
    int
        How many trials were created or completed.

    Raises
    ------
    TrackingError
        The ledger cannot be read, or the store cannot be used.
    """
    events = Ledger.read(path)
    over = {
        trial_id: trial
        for trial_id, trial in merge_trials(events).items()
        if trial["status"] in _OVER
    }
    if not over:
        return 0
    parent, is_ours = _find_invocation(store, events, path)
    _push_probe(parent, events, Path(path).parent / "probe")
    known = {
        run.data.tags.get(TRIAL_TAG): run
        for run in search_all(store, f"tags.`mlflow.parentRunId` = '{parent.run_id}'")
    }
    pushed = 0
    for trial_id, trial in over.items():
        found = known.get(trial_id)
        if found is None:
            run = parent.start_child(
                trial.get("name", trial_id), trial.get("params"), {TRIAL_TAG: trial_id}
            )
        elif found.info.status == "RUNNING" or decode_row(found.data.tags) is None:
            run = Run(store, found.info.run_id, found.info.experiment_id, found.info.run_name)
        else:
            continue
        _complete(run, trial)
        pushed += 1
    end = next((event for event in events if event.get("event") == "finish"), None)
    running = store.client.get_run(parent.run_id).info.status == "RUNNING"
    if running and (is_ours or end):
        # An invocation that never wrote its end was killed.
        parent.finish(end["status"] if end else "KILLED")
    return pushed


def _push_probe(parent: Run, events: list[dict[str, Any]], folder: Path) -> None:
    import pandas as pd

    probe = next((event for event in events if event.get("event") == "probe"), None)
    if probe is not None and folder.is_dir():
        tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
        log_probe(parent, probe["probe_key"], tables)


def _find_invocation(
    store: Store, events: list[dict[str, Any]], path: Path | str
) -> tuple[Run, bool]:
    """The run of the invocation, and whether it was made by a push, so that none else ends it."""
    start = next((event for event in events if event.get("event") == "run"), None)
    if start is None:
        raise TrackingError(
            f"the ledger {path} does not say which run it belongs to; "
            "give the ledger.jsonl that 'autoplace pick' or 'collect' wrote"
        )
    if start.get("run_id") and store.exists:
        try:
            return find_run(store, start["run_id"]), False
        except TrackingError:
            pass  # the ledger is of another store: known there by this id, here by its tag
    invocation = start["invocation"]
    found = search_all(store, f"tags.`{INVOCATION_TAG}` = '{invocation}'")
    if found:
        info = found[0].info
        return Run(store, info.run_id, info.experiment_id, info.run_name), True
    tags = {**start.get("tags", {}), INVOCATION_TAG: invocation}
    return store.start_run(start["task_name"], start["run_name"], start.get("params"), tags), True


def _complete(run: Run, trial: dict[str, Any]) -> None:
    run.log_history(
        (epoch or 0, {key: value for key, value in metrics.items() if value is not None})
        for epoch, metrics in trial["history"]
    )
    if trial.get("row"):
        run.log_row(trial["row"])
    # Last, so that a push which breaks off before leaves the run to be completed by the next.
    run.finish(_OVER[trial["status"]])
