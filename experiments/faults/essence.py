"""What a run amounts to: all that an undisturbed run and a resumed one must have in common."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from autoplace.tracking import Ledger, Store
from autoplace.tracking.ledger._events import FinishEvent
from autoplace.tracking.ledger._ledger import trial_states

TIMES = {"run_id", "folder", "seconds", "search_cost", "total_cost"}
IDS = {"trial_id", "seconds", "git_commit"}


def result_of(document: Any) -> Any:
    """A result of `pick` without times, ids and places."""
    if isinstance(document, dict):
        return {name: result_of(v) for name, v in document.items() if name not in TIMES}
    return [result_of(each) for each in document] if isinstance(document, list) else document


def winner_of(run_folder: Path) -> dict[str, str]:
    """Digests of the winner's files; its card names the run."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((run_folder / "winner").iterdir())
        if path.name != "card.md"
    }


def trials_of(run_folder: Path) -> Counter[str]:
    """The trials in a ledger: each with its params, status, epochs and row, but no times."""
    states = trial_states(Ledger(run_folder / "ledger.jsonl").read()).values()
    return Counter(
        json.dumps(
            {
                "name": state.name,
                "params": state.params,
                "status": state.status,
                "history": sorted(
                    (epoch, {k: v for k, v in metrics.items() if k not in IDS})
                    for epoch, metrics in state.history
                ),
                "row": {k: v for k, v in (state.row or {}).items() if k not in IDS},
            },
            sort_keys=True,
        )
        for state in states
    )


def assert_whole(store: Store, run_id: str) -> None:
    """Check that MLflow has the run and its trials once, as finished as in the ledger."""
    folder = store.run_folder(run_id)
    events = Ledger(folder / "ledger.jsonl").read()
    assert [e.status for e in events if isinstance(e, FinishEvent)][-1] == "FINISHED"
    assert not (folder / "trials").exists()
    assert not (folder / "reserve").exists()
    client = store.client
    parent = client.get_run(run_id)
    assert parent.info.status == "FINISHED"
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'", max_results=1000
    )
    states = trial_states(events)
    ids = [child.data.tags["autoplace.trial_id"] for child in children]
    assert sorted(ids) == sorted(states)
    for child in children:
        assert child.info.status in ("FINISHED", "FAILED"), child.info.run_name
        state = states[child.data.tags["autoplace.trial_id"]]
        assert state.status.is_over
        points = client.get_metric_history(child.info.run_id, "train_loss")
        assert sorted(p.step for p in points) == sorted(e for e, _ in state.history if e)


def ended_trials(run_folder: Path) -> dict[str, dict[str, Any]]:
    """Trials that a ledger says are done, failed or dropped, with their rows."""
    states = trial_states(Ledger(run_folder / "ledger.jsonl").read())
    return {
        trial_id: {"status": state.status, "row": state.row}
        for trial_id, state in states.items()
        if state.status.is_over and state.status != "interrupted"
    }
