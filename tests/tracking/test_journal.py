"""An invocation's record survives the loss of MLflow, and MLflow catches up without doubles."""

from __future__ import annotations

import pandas as pd
import pytest

from autoplace.tracking import Journal, Ledger, Store, TrackingError, fetch_probe, push_unsent

TABLES = {name: pd.DataFrame({"a": [1.0, 2.0]}) for name in ("edges", "nodes", "task")}


@pytest.fixture
def store(tmp_path):
    return Store(f"sqlite:///{tmp_path}/mlflow.db", experiment="journal")


def lose(journal, monkeypatch):
    """From now on every write to MLflow fails, as when its server has died."""

    def fail(*args, **kwargs):
        raise TrackingError("the server is gone; start it")

    for name in ("log_batch", "create_run", "set_terminated", "log_artifact"):
        monkeypatch.setattr(journal.run.store.client, name, fail)


def test_a_lost_store_ends_nothing_and_catches_up_later(store, monkeypatch):
    told = []
    journal = Journal(store, "task", "pick task", {"epochs": 2}, {}, told.append)
    journal.open_trial("one", "first", {}, {})
    journal.epoch("one", 1, {"val_accuracy": 0.5})
    with monkeypatch.context() as broken:
        lose(journal, broken)
        journal.probed("key", TABLES)
        journal.epoch("one", 2, {"val_accuracy": 0.6})
        row = {"trial_id": "one", "status": "done", "val_metric": 0.6}
        journal.close_trial("one", row, {"seconds": 1.0})
        journal.open_trial("two", "second", {}, {})
        journal.close_trial("two", {"trial_id": "two", "status": "done"}, {})
        journal.finish("FINISHED")
    assert len(told) == 1
    assert "retrain" in told[0]
    assert Ledger.trials(journal.folder / "ledger.jsonl")["one"]["row"] == row

    again = Store(store.uri, experiment="journal")
    assert push_unsent(again) == 1
    assert push_unsent(again) == 0
    runs = again.client.search_runs([journal.run.experiment_id])
    assert len(runs) == 3
    assert {run.info.status for run in runs} == {"FINISHED"}
    pd.testing.assert_frame_equal(fetch_probe(again, "key")["edges"], TABLES["edges"])


def test_a_journal_that_lost_nothing_is_not_sent_again(store):
    journal = Journal(store, "task", "pick task", {}, {}, pytest.fail)
    journal.finish("FINISHED")
    assert push_unsent(store) == 0
