"""What a placement log holds: a table for people, and the card that goes with the files."""

from __future__ import annotations

import pandas as pd

from ._log import LOG_COLUMNS, LOG_SCHEMA_VERSION
from ._log_files import PlacementLog
from .vocabulary import HEAD_ONLY


def log_stats(log: PlacementLog) -> pd.DataFrame:
    """One row per backbone and task, in the log's order.

    Returns
    -------
    DataFrame (tasks, 9)
        `backbone`, `task_name`, `family`, `trials` that are done, `failed`, distinct `placements`
        and `seeds`, `head_only` (validation metric) and `best_gain` (of the means over seeds).
    """
    rows = []
    keys = ["backbone", "task_name", "family", "task"]
    for (backbone, name, family, _), trials in log.trials.groupby(keys, sort=False):
        done = trials[trials["status"] == "done"]
        adapted = done[done["placement"] != HEAD_ONLY]
        gain = adapted["val_metric"] - adapted["head_only_val_metric"]
        rows.append(
            {
                "backbone": backbone,
                "task_name": name,
                "family": family,
                "trials": len(done),
                "failed": int((trials["status"] == "failed").sum()),
                "placements": adapted["placement"].nunique(),
                "seeds": adapted["seed"].nunique(),
                "head_only": float(done["head_only_val_metric"].mean()),
                "best_gain": float(gain.groupby(adapted["placement"]).mean().max()),
            }
        )
    return pd.DataFrame(rows)


def log_card(log: PlacementLog) -> str:
    """Markdown: how much there is, how it was chosen, what each column means."""
    trials = log.trials
    done = trials[trials["status"] == "done"]
    chosen = done["chosen_by"].fillna("unknown").value_counts()
    lines = [
        "# Placement log",
        "",
        f"Schema {LOG_SCHEMA_VERSION}: {len(done)} finished and {len(trials) - len(done)} failed "
        f"trials of {done['placement'].nunique()} placements on {done['task_name'].nunique()} data "
        f"sets of {done['family'].nunique()} families, under "
        f"{', '.join(sorted(set(done['backbone'])))}.",
        "",
        "| file | a row is |",
        "|---|---|",
        "| `trials.parquet` | one placement fine-tuned on one task with one seed |",
        "| `edges.parquet` | one edge of one probe (`probe_key`): statistics of its gradient |",
        "| `nodes.parquet`, `task.parquet` | one node of a probe; one probe |",
        "",
        "| chosen by | finished trials |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in chosen.items()),
        "",
        "| column of `trials` | meaning |",
        "|---|---|",
        *(f"| `{column.name}` | {column.meaning} |" for column in LOG_COLUMNS),
    ]
    return "\n".join([*lines, ""])
