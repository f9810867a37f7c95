"""Measure at which rates training collapses, with the optimiser in use and a steadier one.

`measure` trains LoRA on `qkv` of every block with AdamW as trials use it, and with a shorter memory
of squared gradients and a longer warm-up, at high rates and with two seeds. `report` gives the
accuracy on the measurement split by rate, and how many trainings collapsed.

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
    Trial,
    _loop,
    _schedule,
    predict_split,
    run_trials,
    score,
    trained_model,
)
from autoplace.training._adamw import create_adamw

RATES, SEEDS = (0.01, 0.018, 0.032, 0.056), 2
# The decay of AdamW's second moment, and the warm-up as a share of the steps.
OPTIMISERS = {"in use": (0.999, 0.1), "steadier": (0.95, 0.3)}


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


def run_task(name: str) -> dict[str, Any]:
    """Train LoRA on a task with both optimisers, at every rate; return accuracies and losses."""
    settings = PickSettings(epochs=EPOCHS, backbone=BACKBONE, precision="float32")
    task = open_task(f"builtin:{name}", settings, settings, Progress(), measure=True)
    lora = search_space(task.chain, settings).lora
    assert lora is not None, "LoRA does not fit the parameter budget"
    trials = [Trial(lora, seed, learning_rate=rate) for rate in RATES for seed in range(SEEDS)]
    found: dict[str, Any] = {}
    for which, (beta2, warm_up) in OPTIMISERS.items():
        by_rate: dict[float, list[list[float]]] = {rate: [] for rate in RATES}
        with optimiser(beta2, warm_up):
            outcomes = run_trials(task, trials, settings)
        for outcome in outcomes:
            if outcome.is_done:
                predicted = predict_split(task, trained_model(task, outcome), "measurement")
                pair = [score(*predicted).accuracy, training_loss(outcome)]
                by_rate[outcome.trial.learning_rate].append(pair)
        found[which] = by_rate
    return {
        "task": name,
        "head_only": fitted_head_loss(task, settings),
        "trainings": found,
        **describe_machine(),
    }


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return accuracies by rate, and how many trainings collapsed, by task and optimiser."""
    return {
        "tasks": {
            row["task"]: {
                which: summary(by_rate, row["head_only"])
                for which, by_rate in row["trainings"].items()
            }
            for row in rows
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
        "steady_training", __doc__.splitlines()[0], TASKS, run_task, report, "tasks"
    )
