"""Measure at which rates training collapses, with the optimiser in use and with two others.

`measure` trains adapters in every block with AdamW as trials use it, with the longer memory of
squared gradients that they had before, and with a longer warm-up besides, at high rates and with
two seeds. LoRA is on `qkv`. `report` gives the accuracy on the measurement split by rate, and how
many trainings collapsed, for what was measured.

    python experiments/steady_training.py measure
    python experiments/steady_training.py report
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import two_steps
from rate_seeds import BACKBONE, EPOCHS, TASKS, describe_machine
from refits import fitted_head_loss, has_collapsed

from autoplace.agent import Progress, open_task
from autoplace.agent.steps._refit import training_loss
from autoplace.agent.steps._space import search_space
from autoplace.settings import PickSettings
from autoplace.training import (
    BETAS,
    Trial,
    _loop,
    _schedule,
    predict_split,
    run_trials,
    score,
    trained_model,
)
from autoplace.training._adamw import create_adamw
from autoplace.training._schedule import WARM_UP

RATES, SEEDS = (0.01, 0.018, 0.032, 0.056), 2
# The decay of AdamW's second moment, and the warm-up as a share of the steps.
OPTIMISERS = {
    "before": (0.999, 0.1),
    "in use": (BETAS[1], WARM_UP),
    "longer warm-up": (BETAS[1], 0.3),
}
# LoRA on all tasks, other kinds on two.
KINDS = {"lora": TASKS, **dict.fromkeys(("arc", "bottleneck", "adapterbias"), TASKS[:2])}
CELLS = [
    f"{task}:{kind}:{which}"
    for kind, tasks in KINDS.items()
    for task in tasks
    for which in OPTIMISERS
]


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


def run_cell(cell: str) -> dict[str, Any]:
    """Train a kind in every block of a task with an optimiser, at every rate."""
    name, kind, which = cell.split(":")
    settings = PickSettings(epochs=EPOCHS, backbone=BACKBONE, precision="float32", adapter=kind)
    task = open_task(f"builtin:{name}", settings, settings, Progress(), measure=True)
    space = search_space(task.chain, settings)
    placement = space.lora if kind == "lora" else space.every_block
    assert placement is not None, f"{kind} does not fit the parameter budget"
    trials = [Trial(placement, seed, learning_rate=rate) for rate in RATES for seed in range(SEEDS)]
    by_rate: dict[float, list[list[float]]] = {rate: [] for rate in RATES}
    with optimiser(*OPTIMISERS[which]):
        outcomes = run_trials(task, trials, settings)
    for outcome in outcomes:
        if outcome.is_done:
            predicted = predict_split(task, trained_model(task, outcome), "measurement")
            pair = [score(*predicted).accuracy, training_loss(outcome)]
            by_rate[outcome.trial.learning_rate].append(pair)
    return {
        "task": cell,
        "head_only": fitted_head_loss(task, settings),
        "trainings": by_rate,
        **describe_machine(),
    }


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return accuracies by rate, and how many trainings collapsed, by kind, task and optimiser."""
    by_cell = {row["task"]: row for row in rows}
    return {
        "cells": {
            cell: summary(by_cell[cell]["trainings"], by_cell[cell]["head_only"])
            for cell in CELLS
            if cell in by_cell
        },
        "epochs": EPOCHS,
        "backbone": BACKBONE,
        **{key: rows[0][key] for key in describe_machine()},
    }


def summary(by_rate: dict[str, list[list[float]]], head_loss: float) -> dict[str, Any]:
    """Summarise the trainings with one optimiser; one that failed counts as 0 and collapsed."""
    sound = sum(not has_collapsed(loss, head_loss) for each in by_rate.values() for _, loss in each)
    return {
        "accuracy": {
            rate: round(100 * sum(accuracy for accuracy, _ in each) / SEEDS, 1)
            for rate, each in by_rate.items()
        },
        "collapsed": SEEDS * len(by_rate) - sound,
        "trainings": SEEDS * len(by_rate),
    }


if __name__ == "__main__":
    two_steps.run_tasks(
        "steady_training", __doc__.splitlines()[0], CELLS, run_cell, report, "cells"
    )
