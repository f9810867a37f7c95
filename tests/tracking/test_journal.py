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


def calls_of(journal, monkeypatch, name):
    client, calls = journal.run.store.client, []
    whole = getattr(client, name)
    monkeypatch.setattr(client, name, lambda *a, **k: (calls.append(k), whole(*a, **k))[1])
    return calls


def history(store, journal, metric):
    (child,) = store.client.search_runs(
        [journal.run.experiment_id], f"tags.`mlflow.parentRunId` = '{journal.run.run_id}'"
    )
    points = store.client.get_metric_history(child.info.run_id, metric)
    return [(point.step, point.value) for point in points]


EPOCHS = [(number, number / 10) for number in range(1, 9)]


@pytest.mark.parametrize("status", ["done", "failed", "interrupted"])
def test_epochs_go_in_one_request_and_none_is_lost_however_a_trial_ends(store, monkeypatch, status):
    journal = Journal(store, "task", "pick task", {}, {}, pytest.fail)
    journal.open_trial("one", "first", {}, {})
    calls = calls_of(journal, monkeypatch, "log_batch")
    for number, value in EPOCHS:
        journal.epoch("one", number, {"val_accuracy": value})
    assert not calls
    journal.close_trial("one", {"trial_id": "one", "status": status}, {"seconds": 1.0})
    assert sum("metrics" in call for call in calls) == 1
    assert history(store, journal, "val_accuracy") == EPOCHS
    journal.finish("FINISHED")


def test_what_waits_is_sent_when_an_invocation_ends_without_closing_its_trial(store):
    journal = Journal(store, "task", "pick task", {}, {}, pytest.fail)
    journal.open_trial("one", "first", {}, {})
    for number, value in EPOCHS:
        journal.epoch("one", number, {"val_accuracy": value})
    journal.finish("FAILED")
    assert history(store, journal, "val_accuracy") == EPOCHS


def test_a_long_trial_can_be_watched(store, monkeypatch):
    monkeypatch.setattr("autoplace.tracking._journal.BATCHED_SECONDS", 0.0)
    journal = Journal(store, "task", "pick task", {}, {}, pytest.fail)
    journal.open_trial("one", "first", {}, {})
    journal.epoch("one", 1, {"val_accuracy": 0.1})
    assert history(store, journal, "val_accuracy") == [(1, 0.1)]
    journal.finish("KILLED")
