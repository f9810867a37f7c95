"""Measure what the best of several candidates, all trained to the end, gains over LoRA.

Replays on the shipped log: in each draw, some placements of a task compete with LoRA on `qkv` of
every block, all trained alike at the rates found for their kinds. The winner by metric and loss on
one validation split is compared with that LoRA on the measurement split. *fresh* placements were
drawn from what `pick` proposes, without a prediction; the others are the common panel of
bottlenecks, the published placements, and every kind in the early half, in the late half and at
random places.

    python experiments/finalists.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peft_bar import TASKS as BAR

import predictors
from autoplace.agent.steps._race import validation_scores

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from machine import describe_machine

REPORT = Path(__file__).parent / "results" / "finalists.json"
LORA = "published:lora-qkv"
COLUMNS = ["val_accuracy", "val_loss", "measured_accuracy"]
COUNTS, DRAWS = (1, 2, 3, 5, 10, 20), 200


def main() -> None:
    """Replay, write the document and print it."""
    log = predictors.read_log(predictors.shipped_log()).trials
    log = log[log["measured_accuracy"].notna() & (log["seed"] == 0)]
    rng = np.random.default_rng(0)
    found = []
    for (name, backbone), rows in log.groupby(["task_name", "backbone"]):
        every = rows[rows["chosen_by"] == LORA]
        if every.empty:
            continue
        lora = every.iloc[0][COLUMNS].to_numpy(float)
        others = rows[(rows["chosen_by"] != LORA) & (rows["placement"] != "head-only")]
        fresh = others["chosen_by"].str.startswith("fresh")
        for source, part in (("fresh", others[fresh]), ("panel and published", others[~fresh])):
            values = part[COLUMNS].to_numpy(float)
            for count in COUNTS:
                if len(part) < count:
                    continue
                gains = [
                    gain(values[rng.choice(len(part), count, replace=False)], lora)
                    for _ in range(DRAWS)
                ]
                kind = "tasks of the comparison with PEFT" if name in BAR else "other tasks"
                found.append(
                    {"tasks": kind, "source": source, "candidates": count,
                     "task": f"{name}, {backbone}", "gain": float(np.mean(gains))}
                )  # fmt: skip
    document = {"draws": DRAWS, "gain over LoRA in points": summary(pd.DataFrame(found))}
    document |= describe_machine()
    REPORT.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))


def gain(drawn: np.ndarray, lora: np.ndarray) -> float:
    """Return what the winner on validation gains over LoRA on the measurement split, in points.

    Rows are accuracy and loss on validation, and accuracy on the measurement split.
    """
    metrics, losses, measured = np.vstack([lora, drawn]).T
    return 100 * float(measured[int(validation_scores(metrics, losses).argmax())] - measured[0])


def summary(found: pd.DataFrame) -> list[dict[str, Any]]:
    """Return mean, standard error over tasks and the worst task for each number of candidates."""
    by = found.groupby(["tasks", "source", "candidates"])["gain"]
    table = by.agg(["mean", "sem", "min", "count"])
    table["mean without the best task"] = by.apply(lambda own: own.sort_values()[:-1].mean())
    table = table.round(3).reset_index()
    return [dict(row) for row in table.to_dict(orient="records")]


if __name__ == "__main__":
    main()
