"""An invocation's record survives the loss of MLflow, and MLflow catches up without doubles."""

from __future__ import annotations

import pandas as pd
import pytest

from autoplace.tracking import (
    Journal,
    Ledger,
    ProbeMissingError,
    Store,
    TrackingError,
    fetch_probe,
    push_unsent,
    read_rows,
)
from autoplace.tracking.ledger._ledger import trial_states
from predictors.vocabulary import Status

TABLES = {name: pd.DataFrame({"a": [1.0, 2.0]}) for name in ("edges", "nodes", "task")}


def lose(journal, monkeypatch):
    """From now on every write to MLflow fails, as when its server has died."""

    def fail(*args, **kwargs):
        raise TrackingError("the server is gone; start it")

    for name in ("log_batch", "create_run", "set_terminated", "log_artifact"):
        monkeypatch.setattr(journal.run.store.client, name, fail)


def test_a_lost_store_ends_nothing_and_catches_up_later(store, monkeypatch):
    told = []
    journal = Journal(store, "task", "pick task", {"epochs": 2}, {}, told.append)
    journal.start_trial("one", "first", {}, {})
    journal.log_epoch("one", 1, {"val_accuracy": 0.5})
    with monkeypatch.context() as broken:
        lose(journal, broken)
        journal.record_probe("key", TABLES)
        journal.log_epoch("one", 2, {"val_accuracy": 0.6})
        row = {"trial_id": "one", "status": "done", "val_metric": 0.6}
        journal.end_trial("one", Status.DONE, row, {"seconds": 1.0})
        journal.start_trial("two", "second", {}, {})
        journal.end_trial("two", Status.DONE, {"trial_id": "two"}, {})
        journal.finish("FINISHED")
    assert len(told) == 2
    assert "continuing without MLflow" in told[0]
    assert "'autoplace sync' sends it later" in told[1]
    assert trial_states(Ledger(journal.folder / "ledger.jsonl").read())["one"].row == row

    again = Store(store.uri)
    assert len(push_unsent(again)) == 1
    assert len(push_unsent(again)) == 0
    runs = again.client.search_runs([journal.run.experiment_id])
    assert len(runs) == 3
    assert {run.info.status for run in runs} == {"FINISHED"}
    pd.testing.assert_frame_equal(fetch_probe(again, "key")["edges"], TABLES["edges"])


def test_a_journal_that_lost_nothing_is_not_sent_again(store):
    journal = Journal(store, "task", "pick task", {}, {}, pytest.fail)
    journal.finish("FINISHED")
    assert len(push_unsent(store)) == 0


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


@pytest.mark.parametrize("status", [status for status in Status if status.is_over])
def test_epochs_go_in_one_request_and_none_is_lost_however_a_trial_ends(store, monkeypatch, status):
    journal = Journal(store, "task", "pick task", {}, {}, pytest.fail)
    journal.start_trial("one", "first", {}, {})
    calls = calls_of(journal, monkeypatch, "log_batch")
    for number, value in EPOCHS:
        journal.log_epoch("one", number, {"val_accuracy": value})
    assert not calls
    journal.end_trial("one", status, {"trial_id": "one"}, {"seconds": 1.0})
    assert sum("metrics" in call for call in calls) == 1
    assert history(store, journal, "val_accuracy") == EPOCHS
    journal.finish("FINISHED")


def test_what_waits_is_sent_when_an_invocation_ends_without_closing_its_trial(store):
    journal = Journal(store, "task", "pick task", {}, {}, pytest.fail)
    journal.start_trial("one", "first", {}, {})
    for number, value in EPOCHS:
        journal.log_epoch("one", number, {"val_accuracy": value})
    journal.finish("FAILED")
    assert history(store, journal, "val_accuracy") == EPOCHS


def test_a_long_trial_can_be_watched(store, monkeypatch):
    monkeypatch.setattr("autoplace.tracking.ledger._journal.BATCH_SECONDS", 0.0)
    journal = Journal(store, "task", "pick task", {}, {}, pytest.fail)
    journal.start_trial("one", "first", {}, {})
    journal.log_epoch("one", 1, {"val_accuracy": 0.1})
    assert history(store, journal, "val_accuracy") == [(1, 0.1)]
    journal.finish("KILLED")


def test_an_invocation_whose_run_was_deleted_does_not_stop_those_that_follow(store, monkeypatch):
    for name in ("first", "second"):
        journal = Journal(store, "task", name, {}, {}, lambda message: None)
        journal.start_trial(name, name, {}, {})
        with monkeypatch.context() as broken:
            lose(journal, broken)
            journal.end_trial(name, Status.DONE, {"trial_id": name}, {})
            journal.record_probe(f"key of {name}", TABLES)
            journal.finish("FINISHED")
        if name == "first":
            store.client.delete_run(journal.run.run_id)
    assert len(push_unsent(store)) == 2
    assert len(push_unsent(store)) == 0
    assert [row["trial_id"] for row in read_rows(store)] == ["second"]
    pd.testing.assert_frame_equal(fetch_probe(store, "key of first")["edges"], TABLES["edges"])
    with pytest.raises(ProbeMissingError):
        fetch_probe(store, "key of neither")


def test_a_run_that_is_deleted_while_it_is_at_work_loses_mlflow_and_nothing_else(store):
    messages = []
    journal = Journal(store, "task", "pick task", {}, {}, messages.append)
    store.client.delete_run(journal.run.run_id)
    journal.record_probe("key", TABLES)
    journal.start_trial("one", "first", {}, {})
    journal.end_trial("one", Status.DONE, {"trial_id": "one"}, {})
    journal.finish("FINISHED")
    assert len(messages) == 2
    assert len(push_unsent(store)) == 1
    pd.testing.assert_frame_equal(fetch_probe(store, "key")["edges"], TABLES["edges"])


@pytest.mark.parametrize("stopped_in", ["log_batch", "set_terminated", "create_run"])
def test_a_result_that_an_interrupt_kept_from_mlflow_is_not_lost(store, monkeypatch, stopped_in):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    journal = Journal(store, "task", "pick task", {}, {}, print)
    row = {"trial_id": "one", "status": "done", "val_metric": 0.6}
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        if stopped_in == "create_run":
            broken.setattr(store.client, stopped_in, interrupt)
        journal.start_trial("one", "first", {}, {"autoplace.role": "candidate"})
        broken.setattr(store.client, stopped_in, interrupt)
        journal.end_trial("one", Status.DONE, row, {"seconds": 1.0})
    # What the caller does as it leaves: what is still open ends as interrupted.
    if stopped_in == "create_run":
        journal.end_trial("one", Status.DONE, row, {"seconds": 1.0})
    journal.end_trial("one", Status.INTERRUPTED, {"trial_id": "one"}, {})
    journal.finish("KILLED")
    assert len(push_unsent(Store(store.uri))) == 1
    assert read_rows(store) == [row]
    condition = "tags.`autoplace.trial_id` = 'one'"
    (run,) = store.client.search_runs([journal.run.experiment_id], condition)
    assert (run.info.status, run.data.tags["autoplace.role"]) == ("FINISHED", "candidate")
    assert run.data.metrics["seconds"] == 1.0
