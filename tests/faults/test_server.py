"""An MLflow server that goes away, and comes back or not: nothing is missing, nothing is twice."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import pandas as pd
import pytest
import requests
from click.testing import CliRunner

from autoplace.cli._main import autoplace
from autoplace.tracking import Journal, Ledger, Store, fetch_probe, push_unsent, read_rows
from autoplace.tracking.ledger._events import SentEvent, TrialChange
from autoplace.tracking.ledger._ledger import milliseconds, trial_states
from autoplace.tracking.ledger._push import push_ledger
from predictors.vocabulary import Status

pytestmark = pytest.mark.faults
TABLES = {name: pd.DataFrame({"a": [1.0, 2.0]}) for name in ("edges", "nodes", "task")}


class Server:
    """A real MLflow server in processes of its own, over SQLite."""

    def __init__(self, folder):
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process = None

    def start(self):
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                *("--host", "127.0.0.1", "--port", str(self.port)),
                *("--backend-store-uri", f"sqlite:///{self.folder}/server.db"),
                *("--artifacts-destination", str(self.folder / "artifacts")),
            ],
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(600):
            with suppress(requests.RequestException):
                if requests.get(f"{self.uri}/health", timeout=5).ok:
                    return
            time.sleep(0.5)
        raise AssertionError("the server does not start")

    def kill(self):
        """All of its processes at once, as a crash of the machine would."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


def assert_the_store_holds_the_ledger(store, folder):
    """Each trial once, with the status, row, tags and points that the ledger says it has."""
    ledger = Ledger(folder / "ledger.jsonl")
    events = ledger.read()
    states = trial_states(events)
    (parent,) = store.client.search_runs(
        [e.experiment_id for e in store.client.search_experiments()],
        f"attributes.run_id = '{folder.name}'",
    )
    children = store.client.search_runs(
        [parent.info.experiment_id],
        f"tags.`mlflow.parentRunId` = '{folder.name}'",
        max_results=1000,
    )
    names = [child.data.tags["autoplace.trial_id"] for child in children]
    assert Counter(names) == Counter(list(states))
    for trial_id, child in zip(names, children, strict=True):
        state = states[trial_id]
        ended = {"done": "FINISHED", "failed": "FAILED", "pruned": "FINISHED"}
        assert child.info.status == ended.get(str(state.status), "KILLED")
        for key, value in (state.params or {}).items():
            assert child.data.params[key] == str(value)
        expected = Counter(
            (key, event.epoch or 0, value, milliseconds(event.time))
            for event in events
            if isinstance(event, TrialChange) and event.trial_id == trial_id
            for key, value in (event.metrics or {}).items()
        )
        found = Counter(
            (key, point.step, point.value, point.timestamp)
            for key in child.data.metrics
            for point in store.client.get_metric_history(child.info.run_id, key)
        )
        assert found == expected
    rows = {row["trial_id"] for row in read_rows(store)}
    assert rows == {trial_id for trial_id, state in states.items() if state.row}
    return parent


def run_trial(journal, name, epochs=3, then=lambda epoch: None):
    journal.start_trial(name, f"candidate: {name}", {"seed": 0}, {"autoplace.role": "candidate"})
    for epoch in range(1, epochs + 1):
        journal.log_epoch(name, epoch, {"val_accuracy": epoch / 10, "val_loss": 1 / epoch})
        then(epoch)
    row = {"trial_id": name, "status": "done", "val_metric": 0.3}
    journal.end_trial(name, Status.DONE, row, {"seconds": 1.5}, {"autoplace.remedy": "none"})


@pytest.mark.parametrize("back", ["while a trial runs", "at the end", "not before sync"])
def test_a_server_that_is_killed_has_it_all_once_it_is_back(server, monkeypatch, back):
    monkeypatch.setattr("autoplace.tracking.ledger._journal.BATCH_SECONDS", 0.0)
    monkeypatch.setattr("autoplace.tracking.ledger._connection.FIRST_SECONDS", 0.0)
    monkeypatch.setattr("autoplace.tracking.ledger._connection.MOST_SECONDS", 0.0)
    store, notes = Store(server.uri), []
    journal = Journal(store, "digits", "pick digits", {"seed": 0}, {}, notes.append)
    run_trial(journal, "before")
    run_trial(journal, "during", then=lambda epoch: server.kill() if epoch == 2 else None)
    run_trial(journal, "without")
    journal.record_probe("5eed", TABLES)
    journal.tell(lambda run: run.log_json({"winner": "7>3"}, "result.json"))
    restart = {1: server.start} if back == "while a trial runs" else {}
    run_trial(journal, "back", then=lambda epoch: restart.get(epoch, lambda: None)())
    if back == "at the end":
        server.start()
    journal.start_trial("never ends", "never ends", {}, {})
    journal.end_trial("never ends", Status.INTERRUPTED, None, {})
    journal.finish("FINISHED")
    if back == "not before sync":
        assert "'autoplace sync'" in notes[-1]
        server.start()
    else:
        assert notes[-1] == "MLflow answers again and has what it missed"
        assert journal.run.fetch("result.json").is_file()
        assert_the_store_holds_the_ledger(store, journal.folder)

    command = ["sync", "--store", server.uri, "--json"]
    sent, again = (json.loads(CliRunner().invoke(autoplace, command).stdout) for _ in range(2))
    lacked = {"while a trial runs": 0, "at the end": 0, "not before sync": 4}[back]
    assert sent["runs"] == {journal.run.run_id: lacked}
    assert again["runs"] == {}
    parent = assert_the_store_holds_the_ledger(store, journal.folder)
    assert parent.info.status == "FINISHED"
    pd.testing.assert_frame_equal(fetch_probe(store, "5eed")["edges"], TABLES["edges"])

    # Everything once more, as from a ledger whose push was interrupted after the last trial.
    for child in store.client.search_runs([journal.run.experiment_id]):
        store.client.update_run(child.info.run_id, "RUNNING")
    push_ledger(store, Ledger(journal.folder / "ledger.jsonl"), is_over=True)
    assert_the_store_holds_the_ledger(store, journal.folder)


def test_a_collection_goes_on_while_its_server_is_killed_and_restarted(server, tmp_path):
    command = [
        *(sys.executable, "-m", "autoplace", "collect", "builtin:digits", "--store", server.uri),
        *("--placements", "6", "--epochs", "2", "--lr", "0.01", "--probe-images", "32", "--json"),
    ]
    killed, said = False, []
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            said.append(line)
            if not killed and "validation accuracy" in line:
                server.kill()
                killed = True
            if "continuing without MLflow" in line:
                server.start()
        rows = [json.loads(line) for line in process.stdout.read().splitlines()]
    assert process.returncode == 0, "".join(said)
    assert any("continuing without MLflow" in line for line in said)
    assert len(rows) >= 7
    (folder,) = (tmp_path / "autoplace-store" / "runs").iterdir()
    store = Store(server.uri)
    push_unsent(store)
    assert push_unsent(store) == {}
    assert any(isinstance(event, SentEvent) for event in Ledger(folder / "ledger.jsonl").read())
    parent = assert_the_store_holds_the_ledger(store, folder)
    assert parent.info.status == "FINISHED"
