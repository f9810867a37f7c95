"""The benchmarks run and say what they measured, on what; how fast is not for a test."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "experiments" / "benchmarks"
TINY = ["--images", "24", "--batch", "12", "--data", "builtin:digits"]
STATED = {"device", "machine", "threads", "versions"}
STATED_OF_MODEL = {"model", "weights", "n", "dim", "batch", "images", "data", "seed"} | STATED


def run(script: str, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *options, "--json"],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    # What a benchmark's trials tell the user comes before the document.
    return json.loads(done.stdout[done.stdout.index("{") :])


def rendered(script: str, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return runpy.run_path(str(BENCHMARKS / script))["render"](report)


def check_circumstances(report: dict[str, Any]) -> None:
    assert set(report) >= STATED_OF_MODEL
    assert (report["model"], report["n"], report["threads"]) == ("starter", 25, 1)
    assert report["images"] == 24
    assert set(report["machine"]) == {"architecture", "processor", "cores", "load_average"}
    assert {"python", "torch", "timm"} <= set(report["versions"])


def test_the_probes_benchmark_tells_its_ratios_and_what_the_sketch_costs(monkeypatch):
    options = ["--repeats", "2", "--random-weights", "--micro-batches", "3", "--sketch", "32"]
    memory = ["--memory"] if sys.platform == "linux" else []
    reference = ["--reference-edges", "12", "--autograd-edges", "1"]
    report = run("probe.py", *TINY, *options, *memory, *reference)
    check_circumstances(report)
    assert next(iter(report)) == "ratio_to_forward_backward"
    assert (report["weights"], report["batch"], report["edges"]) == ("random", 12, 625)
    assert (report["micro_batches"], report["sketch"]) == (3, 32)
    assert report["speedup_over_autograd"] > 0
    assert set(report["sketch_spearman"]) == {"rank", "stable_rank", "norm", "snr"}
    assert all(-1 <= value <= 1 for value in report["sketch_spearman"].values())
    if memory:
        assert report["peak_memory_ratio"] > 0
    headline = f"{report['ratio_to_forward_backward']:.2f} forward and backward passes"
    assert headline in rendered("probe.py", report, monkeypatch)


@pytest.mark.parametrize(
    "lora", [False, pytest.param(True, marks=pytest.mark.skipif(
        find_spec("peft") is None, reason="peft is an extra"
    ))]
)  # fmt: skip
def test_the_trials_benchmark_compares_equal_losses_with_its_floor(lora, monkeypatch):
    options = ["--edges", "3", "--epochs", "2", *(["--lora"] if lora else [])]
    report = run("trial.py", *TINY, *options)
    check_circumstances(report)
    assert next(iter(report)) == "speedup_over_uncached"
    assert len({edge["edge"] for edge in report["edges"]}) == 3
    assert report["largest_loss_difference"] <= 1e-4
    assert report["ratio_to_suffix"] == pytest.approx(
        report["cached_seconds"] / report["suffix_seconds"], rel=0.01
    )
    assert ("speedup_over_peft_lora" in report) is lora
    assert f"{report['speedup_over_uncached']:.2f}" in rendered("trial.py", report, monkeypatch)


def test_the_populations_benchmark_compares_equal_losses_by_batch(monkeypatch):
    options = ["--images", "24", "--data", "builtin:digits", "--batch", "12", "6"]
    report = run("population.py", *options, "--placements", "2", "3", "--epochs", "1")
    check_circumstances(report)
    assert set(report["throughput_ratio"]) == set(report["operator_ratio"]) == {"12", "6"}
    assert report["largest_loss_difference"] <= 1e-4
    assert {(run["batch"], run["placements"]) for run in report["runs"]} == {
        (12, 2), (12, 3), (6, 2), (6, 3)
    }  # fmt: skip
    for found in report["runs"]:
        assert 1 < found["operator_ratio"] <= found["placements"]
    ratio = report["throughput_ratio"]["6"]
    assert f"{ratio:.2f} times" in rendered("population.py", report, monkeypatch)


def test_the_benchmark_of_overheads_measures_each_part_on_its_own(monkeypatch):
    options = ["--only", "help", "folder", "retrain", "--files", "200", "--rows", "4000"]
    report = run("overheads.py", *options)
    assert set(report) - STATED == {
        "help_seconds",
        "first_step_seconds_100k_files",
        "first_training_step_seconds_100k_files",
        "files",
        "fit_million_rows_seconds",
        "retrain_seconds",
        "retrain_peak_gib",
        "retrain_rows",
        "retrain_families",
        "rows",
    }
    assert (report["files"], report["rows"]) == (200, 4000)
    # The synthetic rows of ten families and the new trials of one.
    assert (report["retrain_rows"], report["retrain_families"]) == (4060, 11)
    assert "help_seconds" in rendered("overheads.py", report, monkeypatch)


def test_the_benchmark_of_dropped_adapters_tells_ratios_within_one_run(monkeypatch):
    options = ["--batch", "2", "--repeats", "1", "--dropped", "6", "12"]
    report = run("adapter_drop.py", *options)
    assert set(report) >= STATED
    assert next(iter(report)) == "speedup"
    assert set(report["speedup"]) == {"inference", "step", "cached_step"}
    for by_number in report["speedup"].values():
        assert set(by_number) == {"0", "6", "12"}
        assert by_number["0"] == 1
    assert "at every sub-layer" in rendered("adapter_drop.py", report, monkeypatch)
