"""Compare the validation scores that could choose a learning rate.

`measure` trains three kinds in every block at five rates, briefly as the search for a rate does and
for all epochs, on tasks with all their images and with few. `report` chooses a rate by each score
of the brief trial and says how much test accuracy of the long one is lost against the best rate.
The scores are accuracy, the loss, and the loss at the temperature that minimises it (Guo et al.
2017, arXiv 1706.04599). It also says how often a score prefers the fitted head, before training.

    python experiments/rate_scores.py measure
    python experiments/rate_scores.py report
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from autoplace.agent import Progress, open_task
from autoplace.agent.steps._rate_grid import short_epochs
from autoplace.agent.steps._space import every_block_baseline, search_space
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import (
    Task,
    Trial,
    fresh_model,
    predict_split,
    run_trials,
    score,
    trained_model,
)

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import two_steps
from machine import describe_machine
from rates import write_images

RESULTS = Path(__file__).parent / "results"
ROWS, REPORT = RESULTS / "rate_scores.jsonl", RESULTS / "rate_scores.json"
TASKS = ("textures-scales", "paths-number", "shapes-count")  # of families outside `peft_bar.py`
FEW = {"train": 60, "val": 200, "test": 1000}
KINDS = ("bottleneck", "lora", "arc")
RATES = (0.00032, 0.001, 0.0032, 0.01, 0.032)
EPOCHS = 5


def few_images(name: str, draw: int, root: Path) -> str:
    """Write a few images of a built-in task to a folder, at random."""
    task = open_task(f"builtin:{name}", PickSettings(), PickSettings(), Progress())
    rng = np.random.default_rng(draw)
    for split in task.data.splits:
        if split.name in FEW:
            rows = rng.choice(len(split.labels), FEW[split.name], replace=False)
            write_images(split, rows, task.data.classes, root)
    return str(root)


def loss_at_best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the loss at the temperature that makes it lowest."""

    def loss(log_temperature: float) -> float:
        return score(logits / np.exp(log_temperature), labels).loss

    return float(minimize_scalar(loss, bounds=(-3, 3), method="bounded").fun)


def scores_of(task: Task, model: Any) -> dict[str, float]:
    """Return the scores of a model on validation and its accuracy on test."""
    logits, labels = predict_split(task, model, "val")
    found = score(logits, labels)
    test = score(*predict_split(task, model, "test"))
    return {
        "accuracy": found.accuracy, "loss": found.loss,
        "calibrated_loss": loss_at_best_temperature(logits, labels),
        "test": test.accuracy,
    }  # fmt: skip


def placement_of(task: Task, settings: PickSettings) -> Placement:
    """Return the kind of the settings in every block."""
    space = search_space(task.chain, settings)
    found = space.lora if settings.adapter == "lora" else None
    found = found or every_block_baseline(task.chain.n_nodes, space.budget)
    assert found is not None
    return found


def measure(path: Path) -> None:
    """Append a line for every kind on every task."""
    lines = path.read_text().splitlines() if path.exists() else []
    known = {tuple(json.loads(line)[k] for k in ("task", "images", "kind")) for line in lines}
    for name in TASKS:
        for images in ("all", "few, draw 1", "few, draw 2"):
            with tempfile.TemporaryDirectory() as folder:
                source = f"builtin:{name}"
                if images != "all":
                    source = few_images(name, int(images[-1]), Path(folder))
                for kind in KINDS:
                    if (name, images, kind) in known:
                        continue
                    row = {"task": name, "images": images, "kind": kind} | train(source, kind)
                    with path.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    print(name, images, kind, flush=True)


def train(source: str, kind: str) -> dict[str, Any]:
    """Train at every rate, briefly and for all epochs."""
    settings = PickSettings(adapter=kind, epochs=EPOCHS, parallel_placements="1")
    task = open_task(source, settings, settings, Progress())
    placement = placement_of(task, settings)
    found: dict[str, Any] = {"start": scores_of(task, fresh_model(task, Placement(), 0))}
    for length, epochs in (("short", short_epochs(EPOCHS)), ("whole", EPOCHS)):
        trials = [Trial(placement, 0, learning_rate=rate, epochs=epochs) for rate in RATES]
        found[length] = {
            outcome.trial.learning_rate: scores_of(task, trained_model(task, outcome))
            for outcome in run_trials(task, trials, settings)
            if outcome.is_done
        }
    return found


def report(path: Path) -> dict[str, Any]:
    """Return points of test accuracy lost by each score, and how often it prefers no training."""
    found = []
    for row in map(json.loads, path.read_text().splitlines()):
        tests = {rate: each["test"] for rate, each in row["whole"].items()}
        for name in ("accuracy", "loss", "calibrated_loss"):
            sign = 1 if name == "accuracy" else -1
            values = {rate: sign * each[name] for rate, each in row["short"].items()}
            best = max(values, key=values.__getitem__)
            found.append(
                {
                    "images": row["images"].partition(",")[0], "score": name,
                    "lost": 100 * (max(tests.values()) - tests.get(best, 0.0)),
                    "prefers_head": 100 * (values[best] <= sign * row["start"][name]),
                }
            )  # fmt: skip
    table = pd.DataFrame(found)
    cases = table.groupby(["images", "score"])
    means = cases[["lost", "prefers_head"]].mean().round(2)
    return {
        "scores": [
            {"images": images, "score": name, "cases": len(cases.get_group((images, name)))}
            | row.to_dict()
            for (images, name), row in means.iterrows()
        ],
        "epochs": EPOCHS,
        "seed": 0,
        **describe_machine(),
    }


if __name__ == "__main__":
    two_steps.run(__doc__.splitlines()[0], measure, report, ROWS, REPORT, "scores")
