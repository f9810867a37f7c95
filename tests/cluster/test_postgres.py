"""Stores on a real PostgreSQL: first runs at once, a whole pick and retrain, an MLflow server."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests

from autoplace.tracking import Store, read_rows
from tests.cluster._postgres import create_database, free_port, postgres
from tests.field._stores import clean_environment, make_images, run_here

pytestmark = pytest.mark.faults
ROOT = Path(__file__).parents[2]
TINY = (
    *("--backbone", "fashion-vit8", "--epochs", 1, "--batch-size", 8, "--probe-images", 8),
    *("--device", "cpu"),
)
PICK = (*TINY, "--field-size", 3, "--top-k", 1, "--folds", 1, "--seeds", 1)


@pytest.fixture(scope="module")
def server():
    with postgres() as uri:
        yield uri


def test_first_runs_that_start_at_once_share_the_tables_of_an_empty_database(server, tmp_path):
    uri = create_database(server, "at_once")
    code = (
        "import sys; from autoplace.tracking import Store, start_run; "
        "run = start_run(Store(sys.argv[1]), 'digits', 'pick', {'a': 1}); "
        "run.log_metrics({'b': 1.0}); run.finish(); print(run.experiment_id)"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, uri],
            cwd=tmp_path,
            env=clean_environment(PYTHONPATH=str(ROOT)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = [process.communicate() for process in running]
    assert [(process.returncode, err) for process, (_, err) in zip(running, said, strict=True)] == [
        (0, "") for _ in running
    ]
    (experiment,) = {out.strip() for out, _ in said}
    runs = Store(uri).client.search_runs([experiment])
    assert [run.info.status for run in runs] == ["FINISHED"] * 4
    assert [run.data.params for run in runs] == [{"a": "1"}] * 4


def test_a_whole_pick_and_retrain_work_on_a_database(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the store's run folders go
    uri = create_database(server, "whole")
    images = make_images(tmp_path / "images", per_class=8)
    picked = run_here("pick", images, *PICK, "--json", "--store", uri, cwd=tmp_path)
    assert picked.code == 0, picked.err
    result = json.loads(picked.out)
    store = Store(uri)
    rows = read_rows(store)
    assert {row["status"] for row in rows} == {"done", "pruned"} or {
        row["status"] for row in rows
    } == {"done"}
    assert result["winner"] in {row["placement"] for row in rows}
    predicted = run_here("predict", result["run_id"], images / "dark", "--store", uri, cwd=tmp_path)
    assert predicted.code == 0, predicted.err
    learnt = run_here("retrain", "--json", "--store", uri, cwd=tmp_path)
    assert learnt.code == 0, learnt.err
    decided = json.loads(learnt.out)
    done = [row for row in rows if row["status"] == "done" and row["placement"] != "head-only"]
    assert decided["new_rows"] == len(done)


def test_an_mlflow_server_on_a_database_records_trials_and_serves_artifacts(
    server, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    port = free_port()
    backend = create_database(server, "served")
    options = ("--artifacts-destination", tmp_path / "objects", "--workers", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", backend,
         *map(str, options), "--host", "127.0.0.1", "--port", str(port)],
        env=clean_environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait_for(uri, process)
        images = make_images(tmp_path / "images", per_class=8)
        text = tmp_path / "placements.txt"
        text.write_text("9>2@bottleneck:r=2\n2>5@bottleneck:r=2\n")
        done = run_here(
            *("collect", images, *TINY, "--placements-file", text, "--lr", 0.003, "--json"),
            *("--store", uri),
            cwd=tmp_path,
        )
        assert done.code == 0, done.err
        assert "continuing without MLflow" not in done.err
        rows = read_rows(Store(uri))
        assert [row["placement"] for row in rows] == [
            "head-only",
            "9>2@bottleneck:r=2",
            "2>5@bottleneck:r=2",
        ]
        (parquet, *_) = (tmp_path / "objects").rglob("*.parquet")  # the probe went to the server
        assert parquet.stat().st_size > 0
    finally:
        for child in [*psutil.Process(process.pid).children(recursive=True), process]:
            child.kill()
        process.wait()


def _wait_for(uri: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end and process.poll() is None:
        try:
            if requests.get(f"{uri}/health", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.5)
    pytest.fail("the MLflow server did not start")
