"""The scripts in examples/ run from start to end, each in a new process and an empty folder."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))

# What each prints, and what it leaves behind.
EXPECTED = {
    "pick_a_placement.py": (["head-only", "every-block", "winner: ", "predicted"], "mlflow.db"),
    "score_every_edge.py": (["625 edges of digits", "gradient_rank", "recurrent"], "probe.png"),
    "train_a_predictor.py": (["best predicted first", "rank correlation over"], None),
}


def run(script: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder, as a user would, with the options at their defaults."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("AUTOPLACE_", "MLFLOW_"))}
    path = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def test_every_script_has_an_expectation():
    assert {script.name for script in SCRIPTS} == set(EXPECTED)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_runs_and_prints_what_it_promises(script, tmp_path):
    done = run(script, tmp_path)
    assert done.returncode == 0, done.stderr
    texts, left = EXPECTED[script.name]
    for text in texts:
        assert text in done.stdout
    if left is None:
        assert not list(tmp_path.iterdir())
    else:
        assert list(tmp_path.rglob(left))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_wrong_argument_ends_a_script_with_what_to_do_instead(script, tmp_path):
    done = run(script, tmp_path, "no-such-thing")
    assert done.returncode == 1
    assert "no-such-thing" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_says_how_it_is_called_and_is_short(script):
    text = script.read_text(encoding="utf-8")
    assert f"python examples/{script.name}" in (ast.get_docstring(ast.parse(text)) or "")
    assert len(text.splitlines()) <= 60
