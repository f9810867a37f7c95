"""Measure how much the rate that is found depends on the seed, and what that costs.

LoRA has one reference, `qkv` of every block, so its rate used to be found with one trial at each
rate. `measure` repeats these short trials with several seeds, and trains LoRA to the end at rates
in between. `report` replays the search with one seed, and with the mean loss of
several. *Lost* is the accuracy at the best rate minus that at the rate found, in points; both are
means over the measurement split and the seeds of the whole trainings, interpolated over the
logarithm of the rate. Whole trainings collapse at the highest rate, so nothing can be read off
between it and the one below; rates there count as the one below.

    python experiments/rate_seeds.py measure
    python experiments/rate_seeds.py report
"""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autoplace.agent import Progress, open_task
from autoplace.agent.steps._rate_grid import START, best_rate, extension, short_epochs
from autoplace.agent.steps._space import search_space
from autoplace.settings import PickSettings
from autoplace.training import Trial, predict_split, run_trials, score, trained_model
from predictors.vocabulary import Role

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import two_steps
from machine import describe_machine

RESULTS = Path(__file__).parent / "results"
TASKS = ("textures-scales", "paths-number")
EPOCHS, BACKBONE = 6, "starter"
GRID = (3.2e-3, 1e-2, 3.2e-2, 1e-1)
FINE = (3.2e-3, 5.6e-3, 1e-2, 1.8e-2, 3.2e-2)
SEEDS, WHOLE = 5, 2


def run_task(name: str) -> dict[str, Any]:
    """Train LoRA on a task, briefly with many seeds and to the end with a few."""
    settings = PickSettings(epochs=EPOCHS, backbone=BACKBONE, precision="float32")
    task = open_task(f"builtin:{name}", settings, settings, Progress(), measure=True)
    lora = search_space(task.chain, settings).lora
    assert lora is not None, "LoRA does not fit the parameter budget"
    brief = [
        Trial(lora, seed, Role.RATE, learning_rate=rate, epochs=short_epochs(EPOCHS))
        for rate in GRID
        for seed in range(SEEDS)
    ]
    whole = [Trial(lora, seed, learning_rate=rate) for rate in FINE for seed in range(WHOLE)]
    losses: dict[float, list[float]] = {rate: [] for rate in GRID}
    for outcome in run_trials(task, brief, settings):
        found = outcome.val.loss if outcome.is_done else math.inf
        losses[outcome.trial.learning_rate].append(found)
    accuracies: dict[float, list[float]] = {rate: [] for rate in FINE}
    for outcome in run_trials(task, whole, settings):
        model = trained_model(task, outcome)
        logits, labels = predict_split(task, model, "measurement")
        accuracies[outcome.trial.learning_rate].append(score(logits, labels).accuracy)
    return {
        "task": name,
        "losses": {str(rate): each for rate, each in losses.items()},
        "accuracies": {str(rate): each for rate, each in accuracies.items()},
        **describe_machine(),
    }


def find(losses: dict[float, list[float]]) -> float:
    """Search on known losses, as a run would."""
    tried: dict[float, list[float]] = {}
    rates = START
    while rates:
        assert set(rates) <= set(losses), f"{rates} were not measured"
        tried |= {rate: losses[rate] for rate in rates}
        rates = extension(tried)
    return best_rate(tried)


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how much the rate found scatters and what it loses, by task and number of seeds."""
    tables: dict[str, Any] = {}
    for row in rows:
        losses = {float(rate): np.array(each) for rate, each in row["losses"].items()}
        logs = np.log10([float(rate) for rate in row["accuracies"]])
        means = 100 * np.mean(list(row["accuracies"].values()), axis=1)
        table = {}
        for count in (1, 2, 3):
            sets = list(itertools.combinations(range(SEEDS), count))
            found = np.array(
                [find({rate: list(each[list(some)]) for rate, each in losses.items()})
                 for some in sets]
            )  # fmt: skip
            lost = means.max() - np.interp(np.minimum(np.log10(found), logs[-2]), logs, means)
            table[str(count)] = {
                "lowest": float(found.min()),
                "highest": float(found.max()),
                "sd of log10": round(float(np.log10(found).std()), 3),
                "lost": round(float(lost.mean()), 2),
                "lost, sd": round(float(lost.std()), 2),
            }
        tables[row["task"]] = {
            "seeds": table,
            "accuracies": dict(zip(row["accuracies"], means.round(2).tolist(), strict=True)),
        }
    machine = {key: rows[0][key] for key in describe_machine()}
    return {"epochs": EPOCHS, "backbone": BACKBONE, "tasks": tables, **machine}


def main() -> None:
    """Run a step."""
    torch.set_num_threads(1)  # as trials side by side run on a CPU
    two_steps.run(
        __doc__.splitlines()[0],
        lambda rows: two_steps.measure_tasks(rows, TASKS, run_task),
        lambda rows: report(two_steps.read_rows(rows)),
        RESULTS / "rate_seeds.jsonl",
        RESULTS / "rate_seeds.json",
        "tasks",
    )


if __name__ == "__main__":
    main()
