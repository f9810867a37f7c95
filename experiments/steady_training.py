"""Measure how much the optimiser decides at which rates training collapses.

`measure` trains a kind in every block with AdamW as trials use it, and with a shorter memory of
squared gradients and a longer warm-up, at high rates and with two seeds. `report` gives the
accuracy on the measurement split by rate, and how many trainings collapsed.

    python experiments/steady_training.py measure
    python experiments/steady_training.py report
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from rate_scores import placement_of

from autoplace.agent import Progress, open_task
from autoplace.agent.steps._refit import COLLAPSE_MARGIN, training_loss
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import (
    Trial,
    _loop,
    _schedule,
    predict_split,
    run_trials,
    score,
    trained_model,
)
from autoplace.training._adamw import create_adamw

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import two_steps
from machine import describe_machine

RESULTS = Path(__file__).parent / "results"
ROWS, REPORT = RESULTS / "steady_training.jsonl", RESULTS / "steady_training.json"
CASES = (
    ("shapes-location", "lora"), ("paths-number", "lora"), ("textures-scales", "lora"),
    ("shapes-size", "lora"), ("shapes-count", "lora"), ("shapes-orientation", "lora"),
    ("shapes-location", "arc"), ("paths-number", "arc"), ("textures-scales", "arc"),
)  # fmt: skip
EPOCHS, BACKBONE = 6, "starter"
RATES, SEEDS = (0.01, 0.018, 0.032, 0.056), 2
# The decay of AdamW's second moment, and the warm-up as a share of the steps.
OPTIMISERS = {"in use": (0.999, 0.1), "steady": (0.95, 0.3)}
NEXT_TO_NOTHING = 1e-4  # a rate at which the head stays as it was fitted


@contextmanager
def optimiser(beta2: float, warm_up: float) -> Iterator[None]:
    """Let trials train with this decay and warm-up."""

    def create(*arguments: Any) -> Any:
        adamw = create_adamw(*arguments)
        for group in adamw.param_groups:
            group["betas"] = (group["betas"][0], beta2)
        return adamw

    with ExitStack() as stack:
        stack.enter_context(patch.object(_loop, "create_adamw", create))
        stack.enter_context(patch.object(_schedule, "WARM_UP", warm_up))
        yield


def train(task_name: str, kind: str) -> dict[str, Any]:
    """Train a kind in every block with both optimisers, at every rate."""
    settings = PickSettings(adapter=kind, epochs=EPOCHS, backbone=BACKBONE, precision="float32")
    task = open_task(f"builtin:{task_name}", settings, settings, Progress(), measure=True)
    head = Trial(Placement(), 0, learning_rate=NEXT_TO_NOTHING)
    (head_only,) = run_trials(task, [head], settings)
    placement = placement_of(task, settings)
    trials = [Trial(placement, seed, learning_rate=rate) for rate in RATES for seed in range(SEEDS)]
    found: dict[str, Any] = {}
    for name, (beta2, warm_up) in OPTIMISERS.items():
        with optimiser(beta2, warm_up):
            outcomes = run_trials(task, trials, settings)
        by_rate: dict[float, list[list[float]]] = {rate: [] for rate in RATES}
        for outcome in outcomes:
            if outcome.is_done:
                logits = predict_split(task, trained_model(task, outcome), "measurement")
                pair = [score(*logits).accuracy, training_loss(outcome)]
                by_rate[outcome.trial.learning_rate].append(pair)
        found[name] = by_rate
    return {"head_only": training_loss(head_only), "trainings": found}


def measure(path: Path) -> None:
    """Append a line for every case that has none."""
    lines = path.read_text().splitlines() if path.exists() else []
    known = {(row["task"], row["kind"]) for row in map(json.loads, lines)}
    for task, kind in CASES:
        if (task, kind) not in known:
            row = {"task": task, "kind": kind} | train(task, kind) | describe_machine()
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")


def report(path: Path) -> dict[str, Any]:
    """Return accuracies by rate, and how many trainings collapsed."""
    rows = two_steps.read_rows(path)
    cases = [
        {"task": row["task"], "kind": row["kind"]}
        | {name: summary(row, each) for name, each in row["trainings"].items()}
        for row in rows
    ]
    return {
        "cases": cases,
        "mean of the best": {
            name: round(float(np.mean([case[name]["best"] for case in cases])), 2)
            for name in OPTIMISERS
        },
        "epochs": EPOCHS,
        "backbone": BACKBONE,
        **{key: rows[0][key] for key in describe_machine()},
    }


def summary(row: dict[str, Any], by_rate: dict[str, list[list[float]]]) -> dict[str, Any]:
    """Summarise the trainings of a case with one optimiser; a training that failed counts as 0."""
    limit = row["head_only"] + COLLAPSE_MARGIN
    means = {
        rate: 100 * sum(accuracy for accuracy, _ in each) / SEEDS for rate, each in by_rate.items()
    }
    best = max(means.values())
    return {
        "accuracy": {rate: round(mean, 1) for rate, mean in means.items()},
        "best": round(best, 2),
        "collapsed": sum(
            SEEDS - len(each) + sum(loss > limit for _, loss in each) for each in by_rate.values()
        ),
        "trainings": SEEDS * len(by_rate),
    }


if __name__ == "__main__":
    two_steps.run(__doc__.splitlines()[0], measure, report, ROWS, REPORT, "cases")
