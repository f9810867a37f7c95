"""How a store with many recorded trials answers: retrain, export, and the first page of the UI.

Some trials are written by `Journal`, as `collect` writes them: a ledger line for each change, a
child run with parameters, metrics of every epoch and a row of the log. There is an invocation for
each probe of the shipped log; its placements are sampled, and its figures are those of the log's
rows of the task with noise. Nothing is trained. The other trials are copies of these runs in
MLflow's tables, with ids, placements and figures of their own: what reads the store cannot tell
them apart, and writing them all one by one would take most of an hour.

- `write_seconds_per_trial`, `write_cpu_per_trial`: of the ledger and MLflow together, where trials
  are written by `Journal`.
- `ledger_bytes_per_trial`, `database_bytes_per_trial`: what a trial leaves behind; of the database
  without the tables' own size.
- `retrain_seconds`, `export_seconds` with `_cpu` and `_peak_gib`: of `autoplace retrain` and
  `autoplace logs export` as processes, their start included.
- `ui_first_page_seconds`: median of five; the requests of MLflow's page of an experiment for its
  first 100 runs. `ui_first_page_bytes`: of the answer.
- `ui_all_runs_page_seconds`: the same over all experiments.

    python experiments/benchmarks/store_load.py --json
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests
from machine import describe_machine

import predictors
from autoplace.agent import sample_trials
from autoplace.backbones import BackboneShape
from autoplace.placement import Placement
from autoplace.settings import CollectSettings
from autoplace.tracking import Journal, Store
from autoplace.tracking.store import open_ui_command
from predictors.vocabulary import Protocol, Status

PAGE = 100  # runs that the UI asks for at once


def write(store: Store, count: int, epochs: int) -> dict[str, Any]:
    """Record trials, an equal number for each probe of the shipped log."""
    log = predictors.read_log(predictors.shipped_log())
    keys = sorted(set(log.trials["probe_key"].dropna()) & set(log.probes))
    _ = store.client  # its tables take seconds
    started, cpu, ledgers = time.perf_counter(), time.process_time(), 0
    for number, key in enumerate(keys):
        wanted = count // len(keys) + (number < count % len(keys))
        ledgers += _invocation(store, log, key, wanted, epochs, number)
    took, used = time.perf_counter() - started, time.process_time() - cpu
    return {
        "written": count,
        "invocations": len(keys),
        "epochs": epochs,
        "write_seconds_per_trial": round(took / count, 4),
        "write_cpu_per_trial": round(used / count, 4),
        "ledger_bytes_per_trial": round(ledgers / count),
    }


def multiply(path: Path, total: int, seed: int = 0) -> dict[str, Any]:
    """Copy the runs of trials in MLflow's tables until there are so many."""
    rng, before = np.random.default_rng(seed), path.stat().st_size
    with closing(sqlite3.connect(path)) as connection, connection:
        children = connection.execute(
            "SELECT run_uuid, value FROM tags WHERE key = 'autoplace.row' ORDER BY run_uuid"
        ).fetchall()
        placements = _placements(total, seed)
        for number in range(total - len(children)):
            child, text = children[number % len(children)]
            row = json.loads(text)
            placement = placements[number]
            row |= {"trial_id": f"copy-{number}", "placement": str(placement)}
            row["n_edges"] = len(placement)
            row["val_metric"] = float(np.clip(row["val_metric"] + rng.normal(0, 0.01), 0, 1))
            _copy(connection, child, {"autoplace.trial_id": row["trial_id"],
                                      "autoplace.row": json.dumps(row)})  # fmt: skip
    copied = total - len(children)
    return {
        "trials": total,
        "database_bytes_per_trial": round((path.stat().st_size - before) / copied),
    }


def _placements(count: int, seed: int) -> list[Placement]:
    """Sample placements of the smallest backbone, which fit all of them."""
    settings = CollectSettings(placements=count, seed=seed)
    shape = BackboneShape.plain(96, n_nodes=17)
    placements = [trial.placement for trial in sample_trials(shape, settings)]
    return [placement for placement in placements if isinstance(placement, Placement)]


def _copy(connection: sqlite3.Connection, run: str, tags: dict[str, str]) -> None:
    """Copy a run in every table that is about runs, with other tags."""
    new = uuid.uuid4().hex
    for table in ("runs", "params", "tags", "metrics", "latest_metrics"):
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        rows = connection.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (run,)).fetchall()
        places = ", ".join("?" * len(names))
        for row in rows:
            values = dict(zip(names, row, strict=True)) | {"run_uuid": new}
            if table == "tags":
                values["value"] = tags.get(values["key"], values["value"])
            connection.execute(f"INSERT INTO {table} VALUES ({places})", list(values.values()))


def _invocation(
    store: Store, log: predictors.PlacementLog, key: str, count: int, epochs: int, seed: int
) -> int:
    """Record one invocation; returns the bytes of its ledger."""
    known = log.trials[log.trials["probe_key"] == key].astype(object)
    rows = known.where(known.notna(), None).to_dict("records")
    shape = BackboneShape.plain(96, n_nodes=int(rows[0]["n_nodes"]))
    trials = sample_trials(shape, CollectSettings(placements=count, seed=seed))
    rng = np.random.default_rng(seed)
    task = str(rows[0]["task_name"])
    journal = Journal(store, task, f"collect {task}", {}, {"autoplace.role": "collect"}, print)
    journal.record_probe(key, log.probes[key])
    for number, trial in enumerate(trials):
        trial_id = f"load-{seed}-{number}"
        row = rows[number % len(rows)] | {
            "trial_id": trial_id,
            "placement": str(trial.placement),
            "n_edges": len(trial.placement),
            "chosen_by": trial.chosen_by,
            "propensity": trial.propensity,
            "protocol": str(Protocol.FOUND_RATE),
            "epochs": epochs,
        }
        row["val_metric"] = float(np.clip(row["val_metric"] + rng.normal(0, 0.01), 0.0, 1.0))
        params = {name: row[name] for name in ("placement", "seed", "epochs", "learning_rate")}
        journal.start_trial(trial_id, f"sample: {trial.placement}"[:250], params, {})
        for epoch in range(1, epochs + 1):
            metrics = dict.fromkeys(
                ("train_loss", "val_accuracy", "val_balanced_accuracy", "val_macro_f1", "val_loss"),
                float(rng.random()),
            )
            journal.log_epoch(trial_id, epoch, metrics)
        journal.end_trial(trial_id, Status.DONE, row, {"parameters": 9264.0, "seconds": 10.0})
    journal.finish("FINISHED")
    return (journal.folder / "ledger.jsonl").stat().st_size


def run(name: str, *arguments: str) -> tuple[dict[str, Any], str]:
    """Measure a command of autoplace as a process; returns the figures and what it printed."""
    started, before = time.perf_counter(), os.times()
    process = subprocess.Popen(
        [sys.executable, "-m", "autoplace", *arguments], stdout=subprocess.PIPE, text=True
    )
    peak, watched = 0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.2)
    out, _ = process.communicate()
    after = os.times()
    if process.returncode:
        raise SystemExit(f"'autoplace {' '.join(arguments)}' ended with {process.returncode}")
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    figures = {
        f"{name}_seconds": round(time.perf_counter() - started, 1),
        f"{name}_cpu": round(used, 1),
        f"{name}_peak_gib": round(peak / 2**30, 2),
    }
    return figures, out


def measure_ui(store: Store) -> dict[str, Any]:
    """Time the requests of the UI's first page."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [*open_ui_command(store), "--port", str(port)],
        env={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{port}"
    api = f"{base}/ajax-api/2.0/mlflow"
    try:
        while not _answers(f"{base}/health"):
            time.sleep(0.5)
        listed = requests.post(f"{api}/experiments/search", json={"max_results": 1000}, timeout=600)
        ids = [each["experiment_id"] for each in listed.json()["experiments"]]
        one, size = _time_page(api, [max(ids, key=int)])
        every, _ = _time_page(api, ids)
    finally:
        for process in [*psutil.Process(server.pid).children(recursive=True), server]:
            process.kill()
        server.wait()
    return {
        "ui_first_page_seconds": one,
        "ui_first_page_bytes": size,
        "ui_all_runs_page_seconds": every,
    }


def _time_page(api: str, experiments: list[str]) -> tuple[float, int]:
    """Median seconds of the UI's request for the newest runs, and the bytes of the answer."""
    took, size = [], 0
    for _ in range(5):
        started = time.perf_counter()
        answer = requests.post(
            f"{api}/runs/search",
            json={
                "experiment_ids": experiments,
                "order_by": ["attributes.start_time DESC"],
                "run_view_type": "ACTIVE_ONLY",
                "max_results": PAGE,
            },
            timeout=600,
        )
        answer.raise_for_status()
        took.append(time.perf_counter() - started)
        size = len(answer.content)
    return round(statistics.median(took), 3), size


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).ok
    except requests.ConnectionError:
        return False


def measure(count: int, written: int, epochs: int, folder: Path) -> dict[str, Any]:
    """Write trials to a store in a folder, and measure what reads them."""
    store = Store(f"sqlite:///{folder}/mlflow.db")
    report = write(store, written, epochs)
    assert store.sqlite_path is not None
    report |= multiply(store.sqlite_path, count)
    report |= measure_ui(store)
    figures, out = run("retrain", "retrain", "--json", "--store", store.uri)
    report |= figures | {"retrain_rows": json.loads(out)["rows"]}
    figures, _ = run("export", "logs", "export", str(folder / "exported"), "--store", store.uri)
    exported = sum(f.stat().st_size for f in (folder / "exported").rglob("*") if f.is_file())
    return report | figures | {"export_bytes_per_trial": round(exported / count)}


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--written", type=int, default=400, help="of them, by `Journal`")
    parser.add_argument("--epochs", type=int, default=10, help="that each trial has recorded")
    parser.add_argument("--folder", help="of the store; default: a temporary one")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report = measure(options.trials, options.written, options.epochs, Path(folder))
    report |= describe_machine()
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print("\n".join(f"{name}: {value}" for name, value in report.items()))


if __name__ == "__main__":
    main()
