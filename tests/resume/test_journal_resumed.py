"""A journal that is opened again continues its run: nothing twice, nothing lost, nobody else."""

from __future__ import annotations

import gc
import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from autoplace.agent.steps._past import SPENT, time_left
from autoplace.tracking import (
    Journal,
    Ledger,
    Store,
    TrackingError,
    open_past,
    push_unsent,
    read_rows,
)
from autoplace.tracking.ledger import _journal
from autoplace.training import Deadline
from predictors.vocabulary import Status

ROW = {"trial_id": "one", "status": "done", "val_metric": 0.6}


@pytest.fixture
def store(new_store) -> Store:
    return new_store()


def begin(store: Store, epochs: int = 2) -> Journal:
    journal = Journal(store, "task", "pick task", {"epochs": 4}, {}, pytest.fail)
    journal.start_trial("one", "first", {"seed": 0}, {"autoplace.role": "candidate"})
    for number in range(1, 1 + epochs):
        journal.log_epoch("one", number, {"train_loss": 1 / number})
    return journal


def kill(journal: Journal) -> None:
    """Leave the journal as a process does that is killed: the system takes its lock."""
    journal._lock.release()


def end(journal: Journal) -> None:
    journal.start_trial("one", "first", {"seed": 0}, {"autoplace.role": "candidate"})
    for number in range(1, 5):
        journal.log_epoch("one", number, {"train_loss": 1 / number})
    journal.end_trial("one", Status.DONE, ROW, {"seconds": 1.0})
    journal.finish("FINISHED")


def children(store: Store, journal: Journal):
    condition = f"tags.`mlflow.parentRunId` = '{journal.run.run_id}'"
    return store.client.search_runs([journal.run.experiment_id], condition)


@pytest.mark.parametrize(
    ("batch_seconds", "cut"),
    # MLflow is told of an epoch once the line is synced, but not every disk keeps its word.
    [(0.0, False), (10.0, False), (0.0, True), (10.0, True)],
    ids=["MLflow has them", "MLflow lacks them", "last line cut", "cut and MLflow lacks it"],
)
def test_a_run_that_was_killed_continues_with_the_same_runs_and_each_epoch_once(
    store, monkeypatch, batch_seconds, cut
):
    monkeypatch.setattr(_journal, "BATCH_SECONDS", batch_seconds)
    journal = begin(store)
    kill(journal)
    ledger = journal.folder / "ledger.jsonl"
    if cut:
        ledger.write_bytes(ledger.read_bytes()[:-9])
    again = Journal.resume(open_past(Store(store.uri), journal.run.run_id), pytest.fail)
    assert again.run.run_id == journal.run.run_id
    assert store.client.get_run(journal.run.run_id).info.status == "RUNNING"
    end(again)
    (child,) = children(store, journal)
    assert child.info.status == "FINISHED"
    points = store.client.get_metric_history(child.info.run_id, "train_loss")
    assert sorted((p.step, p.value) for p in points) == [(n, 1 / n) for n in range(1, 5)]
    assert read_rows(store) == [ROW]
    assert store.client.get_run(journal.run.run_id).info.status == "FINISHED"
    told = [event.epoch for event in Ledger(ledger).read() if getattr(event, "epoch", None)]
    assert told == [1, 2, 3, 4]
    assert push_unsent(store) == {}


def test_an_interrupted_trial_gives_way_to_its_result_and_an_ended_one_stays(store):
    journal = begin(store)
    journal.end_trial("one", Status.INTERRUPTED, ROW | {"status": "interrupted"}, {})
    journal.start_trial("two", "second", {}, {})
    journal.end_trial("two", Status.DONE, ROW | {"trial_id": "two"}, {})
    journal.finish("KILLED")
    again = Journal.resume(open_past(store, journal.run.run_id), pytest.fail)
    assert again.kept().startswith("1 finished trial is kept")
    again.start_trial("two", "second", {}, {})
    again.log_epoch("two", 1, {"train_loss": 0.0})
    again.end_trial("two", Status.FAILED, {"trial_id": "two", "status": "failed"}, {})
    end(again)
    rows = {row["trial_id"]: row["status"] for row in read_rows(store)}
    assert rows == {"one": "done", "two": "done"}
    assert len(children(store, journal)) == 2


def test_what_mlflow_missed_before_is_there_after_a_resume(store, monkeypatch):
    journal = Journal(store, "task", "pick task", {}, {}, lambda message: None)

    def gone(*args, **options):
        raise TrackingError("the server is gone")

    with monkeypatch.context() as broken:
        broken.setattr(store.client, "create_run", gone)
        journal.start_trial("two", "second", {}, {})
        journal.end_trial("two", Status.DONE, ROW | {"trial_id": "two"}, {"seconds": 2.0})
        journal.finish("KILLED")
    again = Journal.resume(open_past(store, journal.run.run_id), pytest.fail)
    end(again)
    assert {row["trial_id"] for row in read_rows(store)} == {"one", "two"}
    assert len(children(store, journal)) == 2
    assert push_unsent(store) == {}


def test_a_run_that_is_killed_after_a_resume_is_sent_again(store):
    journal = begin(store)
    journal.finish("KILLED")
    again = Journal.resume(open_past(store, journal.run.run_id), pytest.fail)
    kill(again)
    del again
    gc.collect()
    assert list(push_unsent(store)) == [journal.run.run_id]
    assert push_unsent(store) == {}


def test_a_run_that_somebody_works_on_is_refused(store):
    journal = begin(store)
    with pytest.raises(TrackingError, match="another process is working on the run"):
        open_past(Store(store.uri), journal.run.run_id)
    journal.finish("KILLED")
    with open_past(store, journal.run.run_id), pytest.raises(TrackingError, match="another"):
        open_past(Store(store.uri), journal.run.run_id)
    with open_past(store, journal.run.run_id):
        pass


def test_a_run_with_nothing_to_resume_is_refused_with_a_plain_sentence(store):
    journal = begin(store)
    end(journal)
    with pytest.raises(TrackingError, match="is finished, so there is nothing to resume"):
        open_past(store, journal.run.run_id)
    with pytest.raises(TrackingError, match="no run 'nobody'"):
        open_past(store, "nobody")
    journal = begin(store)
    journal.finish("FAILED")
    store.client.delete_run(journal.run.run_id)
    with pytest.raises(TrackingError, match="deleted in MLflow"):
        open_past(store, journal.run.run_id)


def test_a_run_that_was_killed_before_its_first_line_is_closed_and_refused(store):
    journal = begin(store)
    kill(journal)
    (journal.folder / "ledger.jsonl").write_text('{"event": "ru')
    with pytest.raises(TrackingError, match="before anything was recorded"):
        open_past(store, journal.run.run_id)
    assert store.client.get_run(journal.run.run_id).info.status == "KILLED"


def test_decisions_come_back_the_last_of_each_name(store):
    journal = begin(store)
    journal.record_decision("allowance", {"seeds": 3})
    journal.record_decision("seconds", 1.5)
    journal.record_decision("seconds", 2.5)
    kill(journal)
    with open_past(store, journal.run.run_id) as past:
        assert past.decision("allowance") == {"seeds": 3}
        assert past.decision("seconds") == 2.5
        assert past.decision("other") is None
        assert 0 <= past.seconds < 60


def test_a_budget_is_left_less_the_time_that_was_worked_and_not_the_time_between(store):
    journal = begin(store)
    journal.record_decision(SPENT, 100.0)
    kill(journal)
    ledger = journal.folder / "ledger.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for line in lines:
        line["time"] = start.isoformat()
    later = start + timedelta(days=1)
    lines[-1]["time"] = (start + timedelta(seconds=200)).isoformat()
    lines.append({"time": later.isoformat(), "event": "resume"})
    lines.append({"time": (later + timedelta(seconds=300)).isoformat(), "event": "unsent"})
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with open_past(store, journal.run.run_id) as past:
        assert past.seconds == 500
        used = Deadline.parse("1h").left - time_left("1h", past).left
        assert used == pytest.approx(600, abs=5)
        assert time_left("5m", past).passed
        assert time_left(None, past).left == math.inf
