"""Measure how well short trials find a rate: with how many seeds, and in steps of which size.

LoRA has one reference, `qkv` of every block. `measure` trains it briefly at many rates with several
seeds, and to the end at some of them. `report` replays the search with one seed and with the mean
loss of several: in the steps of sqrt(10) that it uses (*whole*), and with two more rates in
addition, half a step below and above the best (*half*). *Lost* is the accuracy at the best of the
rates minus that at the rate found, in points. Both are accuracies on the measurement split, mean
over the seeds of the whole trainings. Between two rates, they are interpolated over the logarithm
of the rate; *lost, nearest* takes the accuracy at the nearest rate that was measured instead.

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
import pandas as pd

from autoplace.agent import Progress, open_task
from autoplace.agent.steps._rate_grid import START, best_rate, extension, short_epochs
from autoplace.agent.steps._space import search_space
from autoplace.settings import PickSettings
from autoplace.training import Trial, predict_split, run_trials, score, trained_model
from predictors.vocabulary import Role

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import two_steps
from machine import describe_machine

TASKS = ("textures-scales", "paths-number", "shapes-orientation", "shapes-location")
EPOCHS, BACKBONE = 6, "starter"
GRID = (1e-3, 1.8e-3, 3.2e-3, 5.6e-3, 1e-2, 1.8e-2, 3.2e-2, 5.6e-2, 1e-1)
FINE = (1.8e-3, 3.2e-3, 5.6e-3, 1e-2, 1.8e-2, 2.4e-2, 3.2e-2)
SEEDS, WHOLE = 4, 3
IN_USE = "whole, 2"  # steps and seeds


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
    validated: dict[float, list[list[float]]] = {rate: [] for rate in FINE}
    for outcome in run_trials(task, whole, settings):
        validated[outcome.trial.learning_rate].append([outcome.val.accuracy, outcome.val.loss])
        model = trained_model(task, outcome)
        logits, labels = predict_split(task, model, "measurement")
        accuracies[outcome.trial.learning_rate].append(score(logits, labels).accuracy)
    return {
        "task": name,
        "losses": {str(rate): each for rate, each in losses.items()},
        "validated": {str(rate): each for rate, each in validated.items()},
        "accuracies": {str(rate): each for rate, each in accuracies.items()},
        **describe_machine(),
    }


def find(losses: dict[float, float], halves: bool) -> float:
    """Search on known losses, as a run would; then also half a step to either side, if asked.

    It ends at the lowest rate that was measured.
    """
    tried: dict[float, list[float]] = {}
    rates = START
    while set(rates) & set(losses):
        tried |= {rate: [losses[rate]] for rate in rates}
        rates = extension(tried)
    if halves:
        known = sorted(losses)
        best = known.index(min(tried, key=lambda rate: tried[rate][0]))
        tried |= {rate: [losses[rate]] for rate in known[max(0, best - 1) : best + 2]}
    return best_rate(tried)


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how much the rate found scatters and what it loses, by task and search."""
    tables: dict[str, Any] = {}
    lost: dict[str, list[float]] = {}
    for row in rows:
        losses = {float(rate): np.array(each) for rate, each in row["losses"].items()}
        accuracies = {float(rate): 100 * np.array(a) for rate, a in row["accuracies"].items()}
        logs = np.log10(list(accuracies))
        means = np.array([each.mean() for each in accuracies.values()])
        searches = {}
        for halves, count in itertools.product((False, True), (1, 2, 3)):
            sets = [list(some) for some in itertools.combinations(range(SEEDS), count)]
            found = np.array(
                [find({rate: float(each[some].mean()) for rate, each in losses.items()}, halves)
                 for some in sets]
            )  # fmt: skip
            between = means.max() - np.interp(np.log10(found), logs, means)
            nearest = means.max() - means[np.abs(np.log10(found)[:, None] - logs).argmin(1)]
            name = f"{'half' if halves else 'whole'}, {count}"
            lost.setdefault(name, []).append(float(between.mean()))
            lost.setdefault(f"{name}, nearest", []).append(float(nearest.mean()))
            searches[name] = {
                "lowest": float(found.min()),
                "highest": float(found.max()),
                "sd of log10": round(float(np.log10(found).std()), 3),
                "lost": round(float(between.mean()), 2),
                "most lost": round(float(between.max()), 2),
                "lost, nearest": round(float(nearest.mean()), 2),
            }
        tables[row["task"]] = {
            "searches": searches,
            "accuracies": {rate: each.round(1).tolist() for rate, each in accuracies.items()},
            "means": dict(zip(accuracies, means.round(1).tolist(), strict=True)),
        }
    table = pd.DataFrame(lost)
    against = pd.DataFrame(
        {name: table[name] - table[IN_USE + ", nearest" * ("nearest" in name)] for name in table}
    )
    return {
        "epochs": EPOCHS,
        "backbone": BACKBONE,
        "tasks": tables,
        "mean lost": table.mean().round(2).to_dict(),
        "more than in use, mean": against.mean().round(2).to_dict(),
        "more than in use, standard error": against.sem().round(2).to_dict(),
        **{key: rows[0][key] for key in describe_machine()},
    }


if __name__ == "__main__":
    two_steps.run_tasks("rate_seeds", __doc__.splitlines()[0], TASKS, run_task, report, "tasks")
