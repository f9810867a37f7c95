from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from autoplace.tracking import EventKind, Ledger, TrackingError
from autoplace.tracking.ledger._events import (
    DecisionEvent,
    FinishEvent,
    ProbeEvent,
    ResumeEvent,
    RunEvent,
    SentEvent,
    TrialChange,
    UnsentEvent,
    event_from_dict,
    event_to_dict,
)
from autoplace.tracking.ledger._ledger import trial_states
from predictors.vocabulary import Status

EVENTS = [
    RunEvent("i-1", "0a1b", "digits", "pick digits", {"seed": 0}, {"kind": "pick"}),
    ProbeEvent("5eed"),
    TrialChange("a", Status.RUNNING, name="first", params={"seed": 0}),
    TrialChange("a", Status.RUNNING, epoch=1, metrics={"val_loss": 0.5}),
    TrialChange("a", Status.DONE, row={"trial_id": "a", "val_loss": 0.5}),
    UnsentEvent(),
    FinishEvent("FINISHED"),
    SentEvent(),
]
LATER = [ResumeEvent(), DecisionEvent("allowance", {"seeds": 3})]  # kinds that came later


def trial(trial_id: str) -> TrialChange:
    return TrialChange(trial_id, Status.RUNNING)


def test_every_kind_of_event_comes_back_as_it_was_written(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for event in [*EVENTS, *LATER]:
        ledger.append(event)
    assert ledger.read() == [*EVENTS, *LATER]
    assert {event.kind for event in [*EVENTS, *LATER]} == set(EventKind)


def test_a_ledger_of_the_first_version_is_read(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text(
        '{"time": "2026-01-01T00:00:00.000+00:00", "event": "run", "invocation": "i-1", '
        '"run_id": "0a1b", "task_name": "digits", "run_name": "pick digits", '
        '"params": {"seed": 0}, "tags": {"kind": "pick"}}\n'
        '{"time": "t", "event": "probe", "probe_key": "5eed"}\n'
        '{"time": "t", "event": "trial", "trial_id": "a", "status": "running", '
        '"name": "first", "params": {"seed": 0}}\n'
        '{"time": "t", "event": "trial", "trial_id": "a", "status": "running", '
        '"epoch": 1, "metrics": {"val_loss": 0.5}}\n'
        '{"time": "t", "event": "trial", "trial_id": "a", "status": "done", '
        '"row": {"trial_id": "a", "val_loss": 0.5}}\n'
        '{"time": "t", "event": "unsent"}\n'
        '{"time": "t", "event": "finish", "status": "FINISHED"}\n'
        '{"time": "t", "event": "sent"}\n'
    )
    assert Ledger(path).read() == EVENTS


def test_an_event_of_a_later_version_is_left_out_and_so_are_fields_of_its_own(tmp_path):
    path = tmp_path / "ledger.jsonl"
    later = {"event": "rung", "number": 1}, {"event": "probe", "probe_key": "p", "number": 1}
    path.write_text("".join(json.dumps(content) + "\n" for content in later))
    assert Ledger(path).read() == [ProbeEvent("p")]


@pytest.mark.parametrize(
    "content",
    [
        {"event": "trial", "trial_id": "a"},
        {"event": "trial", "trial_id": "a", "status": "dnoe"},
        {"event": "finish", "status": "RUNNING"},
        {"event": "probe"},
    ],
)
def test_an_event_that_lacks_a_field_or_has_a_wrong_one_is_damage(tmp_path, content):
    path = tmp_path / "ledger.jsonl"
    path.write_text(json.dumps({"event": "unsent"}) + "\n" + json.dumps(content) + "\n")
    with pytest.raises(TrackingError, match=r"line 2 of the ledger .* is damaged"):
        Ledger(path).read()


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_written_with_its_kind_and_without_empty_fields(event):
    content = event_to_dict(event)
    assert content["event"] == event.kind
    assert None not in content.values()
    assert event_from_dict(content) == event


def test_events_come_back_in_order_with_the_time_they_were_written(tmp_path):
    path = tmp_path / "run" / "ledger.jsonl"
    ledger = Ledger(path)
    assert not path.exists()
    ledger.append(TrialChange("a", Status.DONE, row={"loss": float("nan")}))
    Ledger(path).append(FinishEvent("FINISHED"))  # a later process continues
    assert Ledger(path).read() == [
        TrialChange("a", Status.DONE, row={"loss": None}),
        FinishEvent("FINISHED"),
    ]
    first, second = (json.loads(line)["time"] for line in path.read_text().splitlines())
    assert first <= second


def test_every_line_is_strict_json(tmp_path):
    Ledger(tmp_path / "l").append(TrialChange("a", Status.DONE, row={"loss": float("inf")}))
    (line,) = (tmp_path / "l").read_text().splitlines()
    json.loads(line, parse_constant=pytest.fail)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_left_out_and_does_not_spoil_the_next(tmp_path, cut):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.append(trial("a"))
    ledger.append(ProbeEvent("ü" * 20))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    kept = Ledger(path).read()
    # Without its newline the last line is still whole.
    assert kept == [trial("a"), ProbeEvent("ü" * 20)][: 2 if cut == 1 else 1]
    Ledger(path).append(trial("b"))
    assert Ledger(path).read() == [*kept, trial("b")]


def test_damage_before_the_last_line_is_an_error_that_names_the_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"event": "unsent"}\n{"eve\n{"event": "sent"}\n')
    with pytest.raises(TrackingError, match="line 2"):
        Ledger(path).read()


def test_a_ledger_that_is_missing_or_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(TrackingError, match="cannot read"):
        Ledger(tmp_path / "absent").read()
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="cannot write"):
        Ledger(tmp_path / "file" / "ledger.jsonl").append(UnsentEvent())


def test_lines_of_parallel_threads_do_not_mix(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: ledger.append(ProbeEvent(f"{number:03}")), range(100)))
    keys = sorted(event.probe_key for event in ledger.read())
    assert keys == [f"{number:03}" for number in range(100)]


def test_what_was_acknowledged_survives_a_killed_process(tmp_path):
    path = tmp_path / "ledger.jsonl"
    code = (
        "import itertools\nfrom autoplace.tracking import Ledger\n"
        "from autoplace.tracking.ledger._events import ProbeEvent\n"
        f"ledger = Ledger({str(path)!r})\n"
        "for n in itertools.count():\n"
        "    ledger.append(ProbeEvent(f'{n:04000}'))\n    print(n, flush=True)\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "0"
        time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = [0, *map(int, process.stdout.read().split())]
    kept = [int(event.probe_key) for event in Ledger(path).read()]
    assert kept[: len(acknowledged)] == acknowledged
    assert len(kept) <= len(acknowledged) + 1


def test_trials_hold_their_last_state_and_the_history_of_their_metrics():
    states = trial_states(
        [
            RunEvent("i"),
            TrialChange("a", Status.QUEUED, name="first", params={"seed": 0}),
            TrialChange("a", Status.RUNNING, epoch=1, metrics={"val_loss": 1.0}),
            TrialChange("a", Status.RUNNING, epoch=2, metrics={"val_loss": 0.5}),
            TrialChange("a", Status.DONE, row={"seed": 0}),
            TrialChange("b", Status.QUEUED),
        ]
    )
    assert list(states) == ["a", "b"]
    first = states["a"]
    assert (first.status, first.name, first.params) == (Status.DONE, "first", {"seed": 0})
    assert first.row == {"seed": 0}
    assert first.history == [(1, {"val_loss": 1.0}), (2, {"val_loss": 0.5})]
    assert states["b"].status is Status.QUEUED
