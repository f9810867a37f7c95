"""Gains of adapter kinds, and of what x where candidates, at one parameter budget."""

from __future__ import annotations

import re

import pandas as pd
from plans import SHORT

CANDIDATES = 10  # of what x where on each task
LORA = "published:lora-qkv"  # on query, key and value, as peft_bar.py has it
# In `chosen_by`; the panel has the bottlenecks that are everywhere.
_PLACE = re.compile(r"(?:panel:)?(published|every-block|early-half|late-half|random)(?::(.*))?")


def by_kind(done: pd.DataFrame, backbone: str) -> dict[str, dict[str, float]]:
    """Return the gain on test of each adapter kind and place over every-block, on each task.

    Every-block is a bottleneck in every block. A kind is as published, or in every block; in the
    early half of these places; and in the late half of them or, on the stream, at random.
    """
    first = done[(done["backbone"] == backbone) & (done["seed"] == 0)]
    usual = first[first["chosen_by"] == "panel:every-block"].set_index("task_name")["gain"]
    found: dict[str, dict[str, float]] = {}
    for (kind, chosen_by), rows in first.groupby(["adapter_kind", "chosen_by"]):
        place = _PLACE.fullmatch(str(chosen_by))
        if place is None or chosen_by == "panel:every-block":
            continue
        name = place[2] if place[1] == "published" else place[1]
        values = (rows.groupby("task_name")["gain"].mean() - usual).dropna()
        found[f"{kind}: {name}"] = {str(task): float(value) for task, value in values.items()}
    return found


def what_and_where(done: pd.DataFrame, backbone: str) -> dict[str, dict[str, float]]:
    """Compare what x where candidates with the panel's bottlenecks on each task.

    On tasks where the whole panel and all ten candidates ran; also with LoRA in every block, where
    it ran. "Best" is chosen by validation accuracy, ties by loss; the value is the gain on test.
    """
    first = done[(done["backbone"] == backbone) & (done["seed"] == 0)]
    found: dict[str, dict[str, float]] = {}
    for task, rows in first.groupby("task_name"):
        fresh, panel = rows[rows["chosen_by"].str.startswith("fresh:")], rows[rows["slot"].notna()]
        if len(fresh) < CANDIDATES or len(panel) < SHORT:
            continue
        fresh = fresh.sample(CANDIDATES, random_state=0)  # a GPU's plan has more
        usual = float(panel.loc[panel["chosen_by"] == "panel:every-block", "gain"].iloc[0])
        best, best_of_panel, best_of_all = map(_best, (fresh, panel, pd.concat([panel, fresh])))
        ours, theirs = f"{CANDIDATES} what × where", f"{SHORT} bottleneck placements"
        means = float(fresh["gain"].mean() - panel["gain"].mean())
        values = {
            f"best of {ours} - every-block": best - usual,
            f"best of {theirs} - every-block": best_of_panel - usual,
            f"best of {ours} - best of {theirs}": best - best_of_panel,
            f"best of all {CANDIDATES + SHORT} - best of {theirs}": best_of_all - best_of_panel,
            f"mean of {ours} - mean of {theirs}": means,
        }
        lora = rows[rows["chosen_by"] == LORA]
        if len(lora):
            usual_lora = float(lora["gain"].iloc[0])
            of_both = _best(pd.concat([fresh, lora]))
            values |= {
                f"best of {ours} - LoRA in every block": best - usual_lora,
                f"best of {ours} and LoRA - LoRA in every block": of_both - usual_lora,
            }
        for name, value in values.items():
            found.setdefault(name, {})[str(task)] = value
    return found


def _best(rows: pd.DataFrame) -> float:
    return float(rows.sort_values(["val_gain", "loss_gain"])["gain"].iloc[-1])
