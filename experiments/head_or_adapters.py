"""Compare rules that decide between head-only and the best of some adapters.

Replays on the shipped log: in each draw, five placements of a task compete with head-only. The best
of the five by metric and loss on validation meets head-only, and each rule decides between the two.
Its regret is the accuracy on the measurement split of the best of the six less that of its choice.
The rule was chosen on the tasks that take no part in the comparison with PEFT's LoRA.

    python experiments/head_or_adapters.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peft_bar import TASKS as BAR

import predictors
from autoplace.agent.steps._race import validation_scores

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from machine import describe_machine

REPORT = Path(__file__).parent / "results" / "head_or_adapters.json"
PLACEMENTS, DRAWS = 5, 200
# Head-only is one of six, by metric and loss, as adapters are among themselves.
BEFORE = "as among adapters (before)"
# Whether head-only wins, from what adapters gain over it in the metric and in the loss.
RULES: dict[str, Callable[[float, float], bool]] = {
    "metric": lambda metric, loss: metric <= 0,
    "loss": lambda metric, loss: loss <= 0,
    "head-only if better in both (in use)": lambda metric, loss: metric <= 0 and loss <= 0,
    "adapters if better in both": lambda metric, loss: metric <= 0 or loss <= 0,
    "adapters always": lambda metric, loss: False,
}


def main() -> None:
    """Replay, write the document and print it."""
    log = predictors.read_log(predictors.shipped_log()).trials
    usable = log["measured_accuracy"].notna() & log["head_only_val_loss"].notna()
    log = log[usable & (log["placement"] != "head-only") & (log["seed"] == 0)]
    parts = {
        "tasks of the comparison with PEFT": log[log["task_name"].isin(BAR)],
        "other tasks": log[~log["task_name"].isin(BAR)],
    }
    document = {
        name: {"regret": regrets(part), "disagreement": disagreement(part)}
        for name, part in parts.items()
    } | {"placements": PLACEMENTS, "draws": DRAWS, **describe_machine()}
    REPORT.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))


def regrets(log: pd.DataFrame) -> dict[str, Any]:
    """Return each rule's mean regret in points: over draws, tasks and families in turn."""
    rng = np.random.default_rng(0)
    found = []
    for (family, _, _), rows in log.groupby(["family", "task_name", "backbone"]):
        if len(rows) <= PLACEMENTS:
            continue
        regret = pd.DataFrame(
            [
                regret_of(rows.iloc[rng.choice(len(rows), PLACEMENTS, replace=False)])
                for _ in range(DRAWS)
            ]
        )
        found.append({"family": family} | regret.mean().to_dict())
    means = pd.DataFrame(found).groupby("family").mean()
    return {name: round(float(means[name].mean()), 3) for name in (BEFORE, *RULES)}


def regret_of(drawn: pd.DataFrame) -> dict[str, float]:
    """Return each rule's regret in one draw."""
    scores = validation_scores(
        drawn["val_accuracy"].to_numpy(float), drawn["val_loss"].to_numpy(float)
    )
    best = drawn.iloc[int(scores.argmax())]
    metric = best["val_accuracy"] - best["head_only_val_accuracy"]
    loss = best["head_only_val_loss"] - best["val_loss"]
    most = max(drawn["measured_accuracy"].max(), best["head_only_measured_accuracy"])
    measured = np.append(drawn["measured_accuracy"], best["head_only_measured_accuracy"])
    among_all = validation_scores(
        np.append(drawn["val_accuracy"], best["head_only_val_accuracy"]),
        np.append(drawn["val_loss"], best["head_only_val_loss"]),
    )
    return {
        BEFORE: 100 * float(most - measured[int(among_all.argmax())]),
    } | {
        name: 100
        * (
            most
            - best["head_only_measured_accuracy" if head(metric, loss) else "measured_accuracy"]
        )
        for name, head in RULES.items()
    }


def disagreement(log: pd.DataFrame) -> dict[str, Any]:
    """Describe the placements with a better metric than head-only on validation, but more loss."""
    better = log["val_accuracy"] > log["head_only_val_accuracy"]
    rows = log[better & (log["val_loss"] >= log["head_only_val_loss"])]
    gains = 100 * (rows["measured_accuracy"] - rows["head_only_measured_accuracy"])
    by_task = gains.groupby(rows["task_name"] + ", " + rows["backbone"]).mean()
    return {
        "placements": len(rows),
        "of": len(log),
        "mean_gain": round(float(gains.mean()), 2),
        "share_that_gain": round(float((gains > 0).mean()), 2),
        "mean_gain_by_task": by_task.round(2).to_dict(),
    }


if __name__ == "__main__":
    main()
