from __future__ import annotations

import time

import pytest

from autoplace.tracking import (
    Journal,
    Ledger,
    Run,
    Store,
    TrackingError,
    push_unsent,
    read_rows,
    start_run,
)
from autoplace.tracking.ledger._events import FinishEvent, RunEvent, TrialChange
from autoplace.tracking.ledger._ledger import milliseconds
from autoplace.tracking.ledger._push import INVOCATION_TAG, push_ledger
from predictors.vocabulary import Status


@pytest.fixture
def ledger(tmp_path, make_row) -> Ledger:
    """An invocation that ran without MLflow: one trial done, one failed, one never finished."""
    ledger = Ledger(tmp_path / "run" / "ledger.jsonl")
    ledger.append(RunEvent("i-1", None, "digits", "pick", {"seed": 0}, {"autoplace.kind": "pick"}))
    for trial_id in "abc":
        ledger.append(TrialChange(trial_id, Status.RUNNING))
    for epoch in (1, 2):
        metrics = {"val_loss": 1 / epoch}
        ledger.append(TrialChange("a", Status.RUNNING, epoch=epoch, metrics=metrics))
    ledger.append(TrialChange("a", Status.DONE, row=make_row("a")))
    failed = make_row("b", status="failed", failure_reason="out of memory", val_metric=None)
    ledger.append(TrialChange("b", Status.FAILED, row=failed))
    return ledger


def _trial_ids(store: Store) -> list[str]:
    return sorted(row["trial_id"] for row in read_rows(store))


def _children(store, parent_id):
    experiment_id = store.client.get_run(parent_id).info.experiment_id
    return store.client.search_runs([experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")


def _parents(store):
    experiment = store.client.get_experiment_by_name("autoplace/digits")
    return store.client.search_runs([experiment.experiment_id], f"tags.`{INVOCATION_TAG}` = 'i-1'")


def test_finished_trials_arrive_once_however_often_they_are_pushed(store, ledger):
    assert push_ledger(store, ledger) == 2
    assert push_ledger(store, ledger) == 0
    (parent,) = _parents(store)
    assert parent.info.status == "KILLED"  # the ledger has no end
    assert parent.data.params == {"seed": "0"}
    status = {run.info.run_name: run.info.status for run in _children(store, parent.info.run_id)}
    assert status == {"a": "FINISHED", "b": "FAILED"}
    assert _trial_ids(store) == ["a", "b"]


def test_the_history_of_the_metrics_arrives(store, ledger):
    push_ledger(store, ledger)
    (parent,) = _parents(store)
    (done,) = [run for run in _children(store, parent.info.run_id) if run.info.run_name == "a"]
    history = store.client.get_metric_history(done.info.run_id, "val_loss")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5)]


def test_a_trial_that_ends_after_a_push_arrives_with_the_next(store, ledger, make_row):
    push_ledger(store, ledger)
    ledger.append(TrialChange("c", Status.DONE, row=make_row("c")))
    ledger.append(FinishEvent("FINISHED"))
    assert push_ledger(store, ledger) == 1
    assert len(_parents(store)) == 1
    assert _trial_ids(store) == ["a", "b", "c"]


def test_a_run_that_mlflow_holds_in_part_is_completed_and_ended(store, tmp_path, make_row):
    parent = start_run(store, "digits", "pick", tags={INVOCATION_TAG: "i-2"})
    child = parent.start_child("a", tags={"autoplace.trial_id": "a"})  # then MLflow went away
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(RunEvent("i-2", parent.run_id))
    ledger.append(TrialChange("a", Status.DONE, row=make_row("a")))
    assert push_ledger(store, ledger) == 1
    assert store.client.get_run(parent.run_id).info.status == "RUNNING"  # it may still be at work
    ledger.append(FinishEvent("FINISHED"))
    assert push_ledger(store, ledger) == 0
    assert store.client.get_run(parent.run_id).info.status == "FINISHED"
    (found,) = _children(store, parent.run_id)
    assert (found.info.run_id, found.info.status) == (child.run_id, "FINISHED")


def test_a_ledger_can_go_to_a_store_that_never_saw_its_run(new_store, tmp_path, make_row):
    first, second = new_store("first"), new_store("second")
    run = start_run(first, "digits", "pick", tags={INVOCATION_TAG: "i-3"})
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(RunEvent("i-3", run.run_id, "digits", "pick"))
    ledger.append(TrialChange("a", Status.DONE, row=make_row("a")))
    assert push_ledger(second, ledger) == 1
    assert push_ledger(second, ledger) == 0
    assert _trial_ids(second) == ["a"]
    assert _trial_ids(first) == []


def test_nothing_to_push_does_not_open_the_store(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(RunEvent("i-4"))
    assert push_ledger(Store(), ledger) == 0
    assert not Store().exists


def test_a_ledger_that_names_no_run_is_an_error(store, tmp_path, make_row):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(TrialChange("a", Status.DONE, row=make_row("a")))
    with pytest.raises(TrackingError, match="does not say which run"):
        push_ledger(store, ledger)


def test_a_deleted_invocation_stays_deleted_and_is_no_error(store, ledger, make_row):
    push_ledger(store, ledger)
    (parent,) = _parents(store)
    store.client.delete_run(parent.info.run_id)
    ledger.append(TrialChange("c", Status.DONE, row=make_row("c")))
    assert push_ledger(store, ledger) == 0
    assert _parents(store) == []
    assert _trial_ids(store) == ["a", "b"]  # MLflow keeps the children of a deleted run


def test_a_deleted_trial_stays_deleted_and_the_others_arrive(store, ledger, make_row):
    push_ledger(store, ledger)
    (parent,) = _parents(store)
    (first,) = [run for run in _children(store, parent.info.run_id) if run.info.run_name == "a"]
    store.client.delete_run(first.info.run_id)
    ledger.append(TrialChange("c", Status.DONE, row=make_row("c")))
    assert push_ledger(store, ledger) == 1
    assert _trial_ids(store) == ["b", "c"]


def _points(store, parent_id):
    """Every point of every trial's metrics, by trial."""
    return {
        run.info.run_name: sorted(
            (key, point.step, point.value, point.timestamp)
            for key in run.data.metrics
            for point in store.client.get_metric_history(run.info.run_id, key)
        )
        for run in _children(store, parent_id)
    }


def test_metrics_that_are_pushed_twice_are_there_once_with_the_time_of_their_line(store, ledger):
    push_ledger(store, ledger)
    (parent,) = _parents(store)
    before = _points(store, parent.info.run_id)
    times = [e.time for e in ledger.read() if isinstance(e, TrialChange) and e.metrics]
    assert [p[3] for p in before["a"]] == [milliseconds(time) for time in times]
    for run in _children(store, parent.info.run_id):  # as if it had been lost in the middle
        store.client.update_run(run.info.run_id, "RUNNING")
    assert push_ledger(store, ledger) == 2
    assert _points(store, parent.info.run_id) == before
    ours = [r for r in _children(store, parent.info.run_id) if r.info.run_name == "a"]
    run = Run.of(store, ours[0])
    run.log_history((step, {key: value}, at) for key, step, value, at in before["a"])
    assert _points(store, parent.info.run_id) == before


def test_of_a_trial_that_mlflow_holds_in_part_only_the_missing_points_are_sent(store, ledger):
    parent = start_run(store, "digits", "pick", tags={INVOCATION_TAG: "i-1"})
    child = parent.start_child("a", tags={"autoplace.trial_id": "a"})
    child.log_history([(1, {"val_loss": 1.0}, 5)])  # as an older release did: at a time of its own
    child.finish("KILLED")
    assert push_ledger(store, ledger) == 2
    found = _points(store, parent.run_id)["a"]
    assert [point[:3] for point in found] == [("val_loss", 1, 1.0), ("val_loss", 2, 0.5)]
    assert found[0][3] == 5
    (run,) = [r for r in _children(store, parent.run_id) if r.info.run_name == "a"]
    assert run.info.status == "FINISHED"


def test_an_invocation_whose_process_was_killed_is_ended_in_mlflow_with_its_trials(store, make_row):
    journal = Journal(store, "digits", "pick digits", {}, {}, print)
    for trial_id in "abc":
        journal.start_trial(trial_id, trial_id, {}, {})
    journal.end_trial("a", Status.DONE, make_row("a"), {"seconds": 1.0})
    assert push_unsent(store) == {}  # it is at work
    journal._lock.release()  # killed
    assert push_unsent(store) == {journal.run.run_id: 0}
    assert store.client.get_run(journal.run.run_id).info.status == "KILLED"
    status = {r.info.run_name: r.info.status for r in _children(store, journal.run.run_id)}
    assert status == {"a": "FINISHED", "b": "KILLED", "c": "KILLED"}
    assert push_unsent(store) == {}


def test_a_trial_keeps_the_time_at_which_it_ran_and_all_of_its_tags(store, ledger, make_row):
    ledger.append(TrialChange("c", Status.RUNNING, tags={"autoplace.role": "panel"}))
    tags = {"autoplace.remedy": "each batch in 2 parts"}
    ledger.append(TrialChange("c", Status.DONE, row=make_row("c"), tags=tags))
    first, *_, last = [e for e in ledger.read() if getattr(e, "trial_id", "") == "c"]
    time.sleep(0.01)
    push_ledger(store, ledger)
    (parent,) = _parents(store)
    (run,) = [r for r in _children(store, parent.info.run_id) if r.info.run_name == "c"]
    assert run.info.start_time == milliseconds(first.time)
    assert run.info.end_time == milliseconds(last.time)
    assert tags.items() | {"autoplace.role": "panel"}.items() <= run.data.tags.items()


def test_two_pushes_at_once_send_a_ledger_once(store, ledger, monkeypatch):
    """One holds the run folder; the other leaves it alone."""
    folder = store.run_folder("i-1")
    folder.parent.mkdir()
    ledger.path.parent.rename(folder)
    other, notes = [], []
    monkeypatch.setattr(
        "autoplace.tracking.ledger._push.push_ledger",
        lambda *args, **options: other.append(push_unsent(store, notes.append)) or 2,
    )
    assert push_unsent(store) == {"i-1": 2}
    assert other == [{}]
    assert "still working on the run" in notes[0]
