"""The benchmarks run and say what they measured, on what; how fast is not for a test."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "experiments" / "benchmarks"
TINY = ["--images", "24", "--batch", "12", "--classes", "3"]
STATED = {"model", "weights", "n", "batch", "images", "threads", "machine", "versions", "seed"}


def run(script: str, *options: str) -> str:
    return subprocess.run(
        [sys.executable, BENCHMARKS / script, *TINY, *options],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ).stdout


@pytest.mark.parametrize(
    ("script", "options", "headline"),
    [
        ("probe.py", ["--repeats", "2", "--random-weights"], "ratio_to_forward_backward"),
        ("trial.py", ["--edges", "3", "--epochs", "2"], "speedup_over_uncached"),
    ],
)
def test_a_benchmark_prints_one_json_document_with_its_ratio_and_its_circumstances(
    script, options, headline, monkeypatch
):
    report = json.loads(run(script, *options, "--json"))
    assert next(iter(report)) == headline
    assert report[headline] > 0
    assert set(report) >= STATED
    assert (report["model"], report["n"]) == ("starter", 25)
    assert report["weights"] == ("random" if "--random-weights" in options else "pretrained")
    assert (report["images"], report["batch"], report["threads"]) == (24, 12, 1)
    assert set(report["machine"]) == {"architecture", "processor", "cores", "load_average"}
    assert {"python", "torch", "timm"} <= set(report["versions"])
    if script == "trial.py":
        assert len({edge["edge"] for edge in report["edges"]}) == 3
        assert all(edge["cached"] for edge in report["edges"])
        assert report["largest_loss_difference"] <= 1e-5
    monkeypatch.syspath_prepend(BENCHMARKS)
    text = runpy.run_path(str(BENCHMARKS / script))["render"](report)
    assert f"{report[headline]:.2f}" in text
