"""Measure what is left of a winner's gain when it is trained anew.

On each task, ten *fresh* placements of the shipped log, drawn from what `pick` proposes, compete
with LoRA on `qkv` of every block; all were trained to the end once. `measure` trains the best three
by validation and that LoRA again with other seeds, at the rates and epochs of the log. `report`
compares what the winner gained over LoRA in the log with what it gains when both are trained anew,
on the measurement split. No task of the comparison with PEFT's LoRA is among them; six are of its
families.

    python experiments/retrained.py measure
    python experiments/retrained.py report
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from finalists import LORA
from peft_bar import TASKS as BAR

import predictors
from autoplace.agent import Progress, open_task
from autoplace.agent.steps._race import validation_scores
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import Trial, predict_split, run_trials, score, trained_model

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import two_steps
from machine import describe_machine

BACKBONE, FRESH, BEST = "starter", 10, 3
SEEDS = (1, 2, 3)  # the log has 0


def contests() -> dict[str, pd.DataFrame]:
    """Return LoRA and the fresh placements of each task, the best by validation first."""
    log = predictors.read_log(predictors.shipped_log()).trials
    log = log[log["measured_accuracy"].notna() & (log["seed"] == 0) & (log["backbone"] == BACKBONE)]
    found = {}
    for name, rows in log.groupby("task_name"):
        fresh = rows["chosen_by"].str.startswith("fresh")
        those = rows[fresh | (rows["chosen_by"] == LORA)]
        if name in BAR or fresh.sum() < FRESH or not (rows["chosen_by"] == LORA).any():
            continue
        scores = validation_scores(
            those["val_accuracy"].to_numpy(float), those["val_loss"].to_numpy(float)
        )
        found[str(name)] = those.iloc[np.argsort(-scores, kind="stable")]
    return found


def run_task(name: str) -> dict[str, Any]:
    """Train the best of a task and LoRA anew."""
    ranked = contests()[name]
    is_lora = ranked["chosen_by"] == LORA
    chosen = pd.concat([ranked[is_lora], ranked[~is_lora][:BEST]])
    settings = PickSettings(
        epochs=int(chosen["epochs"].iloc[0]), backbone=BACKBONE, precision="float32"
    )
    task = open_task(f"builtin:{name}", settings, settings, Progress(), measure=True)
    trials = [replace(trial_of(row), seed=seed) for _, row in chosen.iterrows() for seed in SEEDS]
    accuracies = [
        score(*predict_split(task, trained_model(task, outcome), "measurement")).accuracy
        for outcome in run_trials(task, trials, settings)
    ]
    new = np.reshape(accuracies, (len(chosen), len(SEEDS))).tolist()
    return {
        "task": name,
        "epochs": settings.epochs,
        "placements": [
            {"chosen_by": row["chosen_by"], "placement": row["placement"],
             "rank": list(ranked.index).index(index),
             "log": row["measured_accuracy"], "anew": values}
            for (index, row), values in zip(chosen.iterrows(), new, strict=True)
        ],
        **describe_machine(),
    }  # fmt: skip


def trial_of(row: pd.Series) -> Trial:
    """Return the trial of a row of the log."""
    rates = json.loads(row["rates"]) if isinstance(row["rates"], str) else {}
    return Trial(
        Placement.parse(row["placement"]),
        0,
        chosen_by=row["chosen_by"],
        learning_rate=row["learning_rate"],
        rates=tuple(sorted(rates.items())),
    )


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the winner's gain over LoRA in the log and anew, in points, by task."""
    tasks = {}
    for row in rows:
        lora, *others = row["placements"]
        winner = min(row["placements"], key=lambda each: each["rank"])
        tasks[row["task"]] = {
            "winner": winner["chosen_by"],
            "log": 100 * (winner["log"] - lora["log"]),
            "anew": gain(winner, lora),
            "winner's change": 100 * (np.mean(winner["anew"]) - winner["log"]),
            "LoRA's change": 100 * (np.mean(lora["anew"]) - lora["log"]),
            "the others anew, the best on validation first": [
                {"gain": gain(each, lora), "error": np.hypot(error(each), error(lora))}
                for each in others
            ],
            "LoRA, anew": [100 * value for value in lora["anew"]],
            "sd of a training": scatter(row["placements"]),
        }
    table = pd.DataFrame(tasks).T
    columns = ["log", "anew", "winner's change", "LoRA's change"]
    numbers = table[columns].astype(float)
    numbers["anew minus log"] = numbers["anew"] - numbers["log"]
    without = numbers.drop(index=numbers["anew"].idxmax())
    everything = [each for row in rows for each in row["placements"]]
    return {
        "tasks": rounded(tasks),
        "mean and standard error over tasks": mean_and_error(numbers),
        "the same without the best task": mean_and_error(without),
        "sd of a training": round(scatter(everything), 2),
        **{key: rows[0][key] for key in describe_machine()},
    }


def rounded(values: Any) -> Any:
    """Round all numbers in a document."""
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    if isinstance(values, list):
        return [rounded(value) for value in values]
    return values if isinstance(values, str) else round(float(values), 2)


def mean_and_error(table: pd.DataFrame) -> dict[str, list[float]]:
    """Return mean and standard error of each column."""
    values = table.astype(float)
    return {name: rounded([values[name].mean(), values[name].sem()]) for name in values}


def error(placement: dict[str, Any]) -> float:
    """Return the standard error over new trainings in points."""
    return 100 * float(np.std(placement["anew"], ddof=1) / np.sqrt(len(placement["anew"])))


def scatter(placements: list[dict[str, Any]]) -> float:
    """Return how much trainings of a placement scatter between seeds: an SD in points."""
    variances = [np.var(each["anew"], ddof=1) for each in placements]
    return 100 * float(np.sqrt(np.mean(variances)))


def gain(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return the mean difference of the new trainings in points."""
    return 100 * float(np.mean(one["anew"]) - np.mean(other["anew"]))


if __name__ == "__main__":
    two_steps.run_tasks(
        "retrained", __doc__.splitlines()[0], sorted(contests()), run_task, report, "tasks"
    )
