"""`--workers` on one machine: the same pick, and one line where workers cannot be had."""

from __future__ import annotations

import ast
import json
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from autoplace.errors import UserError
from autoplace.settings import PickSettings
from autoplace.tracking import Store
from tests.field._stores import make_images, run_here, start

ROOT = Path(__file__).parents[2]
CORES = len(os.sched_getaffinity(0))


@pytest.fixture
def images(tmp_path):
    return make_images(tmp_path / "images", per_class=8)


def test_workers_without_ray_say_how_to_install_it(images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    for options in (["--workers", 1], ["--executor", "ray"]):
        done = run_here("collect", images, *options, cwd=tmp_path)
        assert (done.code, done.out) == (2, "")
        assert done.err.endswith("which is not installed; run: pip install 'autoplace[ray]'\n")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"ray_address": "head:6379"}, "add --executor ray"),
        ({"worker_cpus": 2}, "add --workers or --executor ray"),
        ({"worker_gpus": 0.5}, "add --workers or --executor ray"),
        ({"workers": 0}, "at least 1"),
        ({"workers": 2, "worker_gpus": 2.0}, "at most 1"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(options, expected):
    with pytest.raises(UserError, match=expected):
        PickSettings(**options)


def test_a_worker_starts_no_other_work():
    tree = ast.parse((ROOT / "autoplace" / "execution" / "_ray_worker.py").read_text("utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not {"ray", "remote", "import_ray"} & names


@pytest.mark.faults
def test_more_workers_than_cores_and_clusters_that_do_not_answer_are_refused(images, tmp_path):
    pytest.importorskip("ray")
    for options, expected in (
        (["--workers", CORES + 1], f"and this machine has {CORES}; give at most {CORES}"),
        (["--executor", "ray", "--ray-address", "127.0.0.1:9"], "no Ray cluster can be used at"),
        (["--executor", "ray", "--ray-address", "ray://h:1"], "give HOST:PORT"),
        (["--executor", "ray"], "no Ray cluster can be used on this machine"),
    ):
        done = run_here("pick", images, *options, cwd=tmp_path)
        assert (done.code, done.out) == (2, ""), done.err
        message = done.err.split("Error: ")[1]
        assert expected in message
        assert len(message.splitlines()) <= 2
    assert not (tmp_path / "autoplace-store").exists()


PICK = (
    *("--backbone", "fashion-vit8", "--epochs", 2, "--batch-size", 4, "--field-size", 3),
    *("--top-k", 1, "--folds", 1, "--seeds", 1, "--probe-images", 8, "--device", "cpu"),
)


@pytest.mark.faults
def test_a_pick_with_workers_finds_what_a_pick_without_finds(images, tmp_path):
    pytest.importorskip("ray")
    results = {}
    for name, options in {"here": [], "workers": ["--workers", min(2, CORES)]}.items():
        folder = tmp_path / name
        folder.mkdir()
        process = start("pick", images, *PICK, "--json", *options, cwd=folder)
        out, err = process.communicate(timeout=1200)
        assert process.returncode == 0, err
        assert "raylet" not in err
        results[name] = json.loads(out)  # nothing of Ray's is on stdout
        runs = Store(f"sqlite:///{folder}/autoplace-store/mlflow.db").client.search_runs(["1"])
        results[name]["statuses"] = sorted(run.info.status for run in runs)
        assert set(results[name]["statuses"]) == {"FINISHED"}
    for result in results.values():
        for key in ("run_id", "folder", "seconds", "search_cost", "total_cost"):
            del result[key]
        for entry in result["ranking"]:
            del entry["seconds"]
    assert results["workers"] == results["here"]


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_a_signal_closes_the_run_and_leaves_no_worker_behind(number, images, tmp_path):
    pytest.importorskip("ray")
    process = start("pick", images, *PICK, "--epochs", 500, "--workers", 1, cwd=tmp_path)
    ours = psutil.Process(process.pid)
    store = tmp_path / "autoplace-store" / "runs"
    while process.poll() is None and not any(
        '"epoch"' in path.read_text() for path in store.glob("*/ledger.jsonl")
    ):
        time.sleep(0.2)
    started = ours.children(recursive=True)
    assert any("ray::" in " ".join(child.cmdline()) for child in started)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err, err
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive
    runs = Store(f"sqlite:///{tmp_path}/autoplace-store/mlflow.db").client.search_runs(["1"])
    assert {run.info.status for run in runs} <= {"KILLED", "FINISHED"}
    assert "KILLED" in {run.info.status for run in runs}
