"""Check in small what the papers of the procedures claim.

Each procedure is compared with the dense training of the same placement: same task, learning rate
(found once, on the dense placement), epochs, images and seeds.

    python experiments/adapter_claims.py measure
    python experiments/adapter_claims.py report
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from autoplace.adapters import ParameterBudget
from autoplace.agent import Progress, open_task
from autoplace.agent.steps._rate_grid import RateGrid, short_epochs
from autoplace.agent.steps._space import search_space
from autoplace.placement import Placement
from autoplace.placement.generators import every_block
from autoplace.procedures import Trainer, parse_procedure
from autoplace.settings import PickSettings
from autoplace.training import Task, Trial, predict_split, run_trials, score, trained_model

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from machine import describe_machine
from refits import fitted_head

RESULTS = Path(__file__).parent / "results"
ROWS, REPORT = RESULTS / "adapter_claims.jsonl", RESULTS / "adapter_claims.json"
TASKS = ("shapes-count", "charts-kinds")
SEEDS = 3
DENSE = "dense"
PROCEDURES = (
    DENSE,
    # Nothing is pruned: what starting from `prune`'s initial weights does alone.
    "prune:score=random,sparsity=0",
    "prune:score=random,sparsity=0.8",
    "prune:score=magnitude,sparsity=0.8",
    "prune:score=snip,sparsity=0.8",
    "prune:score=grasp,sparsity=0.8",
    "prune:score=snip,sparsity=0.5,widen=2",
    "share:rate=0.5",
    "switch",
    "drop:blocks=5",
    "drop:robust",
)


def placement_of(budget: ParameterBudget) -> Placement:
    """Return bottlenecks after every sub-layer, within the default budget."""
    placement = budget.fit(every_block(budget.shape.n_nodes, "sequential"))
    assert placement is not None, "the budget is too small"
    return placement


def found_rate(task: Task, placement: Placement, settings: PickSettings) -> float:
    """Find the learning rate as `pick` does, with one reference."""
    epochs = short_epochs(settings.epochs)
    head_only = fitted_head(task, settings)
    grid = RateGrid.of("bottleneck", [placement], 0, epochs, settings.metric, head_only)
    while grid.rates:
        grid.add(run_trials(task, grid.trials, settings))
    return grid.result().rate


def measure(path: Path, epochs: int) -> None:
    """Append a line for each task, procedure and seed that is not there yet."""
    lines = path.read_text().splitlines() if path.exists() else []
    known = {tuple(json.loads(line)[k] for k in ("task", "procedure", "seed")) for line in lines}
    for name in TASKS:
        settings = PickSettings(epochs=epochs, adapter="bottleneck")
        task = open_task(f"builtin:{name}", settings, settings, Progress())
        placement = placement_of(search_space(task.chain, settings).budget)
        rate: float | None = None
        for procedure in PROCEDURES:
            for seed in range(SEEDS):
                if (name, procedure, seed) in known:
                    continue
                rate = rate or found_rate(task, placement, settings)
                row = train(task, placement, procedure, seed, rate, settings)
                with path.open("a") as file:
                    file.write(json.dumps({"task": name, "epochs": epochs} | row) + "\n")
                print(name, row["procedure"], row["test"], flush=True)


def train(
    task: Task, placement: Placement, text: str, seed: int, rate: float, settings: PickSettings
) -> dict[str, Any]:
    """Train once, and test."""
    trial = Trial(placement, seed, learning_rate=rate)
    if text == DENSE:
        (outcome,) = run_trials(task, [trial], settings)
        model, parameters, chose = trained_model(task, outcome), outcome.parameters, {}
    else:
        refined = parse_procedure(text).run(Trainer(task, trial, settings))
        model, parameters, chose = refined.model, refined.parameters, dict(refined.chose)
    scores = score(*predict_split(task, model, "test"))
    return {
        "procedure": text, "seed": seed, "rate": rate, "parameters": parameters,
        "test": scores.accuracy, "loss": scores.loss, "chose": chose,
    }  # fmt: skip


def report(path: Path) -> dict[str, Any]:
    """Return means and standard deviations over seeds, and differences from dense."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    document: dict[str, Any] = {"tables": {}, "seeds": SEEDS, **describe_machine()}
    for name in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == name]
        dense = {row["seed"]: row["test"] for row in own if row["procedure"] == DENSE}
        table = {}
        for text in dict.fromkeys(row["procedure"] for row in own):
            these = [row for row in own if row["procedure"] == text]
            values = np.array([row["test"] for row in these])
            gaps = np.array([100 * (row["test"] - dense[row["seed"]]) for row in these])
            table[text] = {
                "mean": round(float(values.mean()), 4),
                "sd": round(float(values.std(ddof=1)), 4) if len(values) > 1 else None,
                "minus_dense_points": round(float(gaps.mean()), 2),
                "parameters": sorted({row["parameters"] for row in these}),
            }
        document["tables"][name] = table
    return document


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rows", type=Path, default=ROWS)
    options = parser.parse_args()
    if options.what == "measure":
        measure(options.rows, options.epochs)
        return
    document = report(options.rows)
    REPORT.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document["tables"], indent=2))


if __name__ == "__main__":
    main()
