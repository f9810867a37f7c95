from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from autoplace.tracking import Ledger, TrackingError


def test_events_come_back_in_order_with_the_time_they_were_written(tmp_path):
    path = tmp_path / "run" / "ledger.jsonl"
    ledger = Ledger(path)
    assert not path.exists()
    ledger.append({"event": "trial", "trial_id": "a", "loss": float("nan")})
    Ledger(path).append({"event": "finish"})  # a later process goes on
    first, second = Ledger.read(path)
    assert (first["trial_id"], first["loss"], second["event"]) == ("a", None, "finish")
    assert first["time"] <= second["time"]


def test_every_line_is_strict_json(tmp_path):
    Ledger(tmp_path / "l").append({"loss": float("inf")})
    (line,) = (tmp_path / "l").read_text().splitlines()
    json.loads(line, parse_constant=pytest.fail)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_left_out_and_does_not_spoil_the_next(tmp_path, cut):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.append({"event": "trial", "trial_id": "a"})
    ledger.append({"event": "trial", "trial_id": "ü" * 20})
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    kept = [event["trial_id"] for event in Ledger.read(path)]
    assert kept == ["a"] + ["ü" * 20] * (cut == 1)  # without its newline it is still whole
    Ledger(path).append({"event": "trial", "trial_id": "b"})
    assert [event["trial_id"] for event in Ledger.read(path)] == [*kept, "b"]


def test_damage_before_the_last_line_is_an_error_that_names_the_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"event": "run"}\n{"eve\n{"event": "finish"}\n')
    with pytest.raises(TrackingError, match="line 2"):
        Ledger.read(path)


def test_a_ledger_that_is_missing_or_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(TrackingError, match="cannot read"):
        Ledger.read(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="cannot write"):
        Ledger(tmp_path / "file" / "ledger.jsonl").append({})


def test_lines_of_parallel_threads_do_not_mix(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: ledger.append({"number": number}), range(100)))
    assert sorted(event["number"] for event in Ledger.read(ledger.path)) == list(range(100))


def test_what_was_acknowledged_survives_a_killed_process(tmp_path):
    path = tmp_path / "ledger.jsonl"
    code = (
        "import itertools, sys\nfrom autoplace.tracking import Ledger\n"
        f"ledger = Ledger({str(path)!r})\n"
        "for n in itertools.count():\n"
        "    ledger.append({'n': n, 'pad': 'x' * 5000})\n    print(n, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "0"
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    acknowledged = [0, *map(int, process.stdout.read().split())]
    process.wait()
    kept = [event["n"] for event in Ledger.read(path)]
    assert kept[: len(acknowledged)] == acknowledged
    assert len(kept) <= len(acknowledged) + 1


def test_trials_hold_their_last_state_and_the_history_of_their_metrics(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append({"event": "run", "invocation": "i"})
    ledger.append({"event": "trial", "trial_id": "a", "status": "queued", "name": "first"})
    for epoch in (1, 2):
        ledger.append(
            {
                "event": "trial",
                "trial_id": "a",
                "status": "running",
                "epoch": epoch,
                "metrics": {"val_loss": 1 / epoch},
            }
        )
    ledger.append({"event": "trial", "trial_id": "a", "status": "done", "row": {"seed": 0}})
    ledger.append({"event": "trial", "trial_id": "b", "status": "queued"})
    trials = Ledger.trials(ledger.path)
    assert list(trials) == ["a", "b"]
    assert (trials["a"]["status"], trials["a"]["name"]) == ("done", "first")
    assert trials["a"]["history"] == [(1, {"val_loss": 1.0}), (2, {"val_loss": 0.5})]
