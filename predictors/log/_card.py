"""Describe a placement log: a table of counts, and the card that is stored with the files."""

from __future__ import annotations

import pandas as pd

from ..vocabulary import HEAD_ONLY, Status
from ._files import PlacementLog
from ._schema import LOG_COLUMNS, LOG_SCHEMA_VERSION


def log_stats(log: PlacementLog) -> pd.DataFrame:
    """Count the trials of a log, by backbone and task.

    Parameters
    ----------
    log : PlacementLog
        Any log.

    Returns
    -------
    DataFrame (tasks, 9)
        `backbone`, `task_name`, `family`, finished `trials`, `failed` trials, distinct `placements`
        and `seeds`, `head_only` (validation metric) and `best_gain` (of the means over seeds).
        One row per backbone and task, in the log's order.

    Examples
    --------
    >>> import predictors
    >>> stats = predictors.log_stats(predictors.read_log(predictors.shipped_log()))
    >>> stats[["backbone", "task_name", "trials", "best_gain"]].head(2).round(3)
           backbone      task_name  trials  best_gain
    0  fashion-vit8  cells-density      34      0.195
    1  fashion-vit8   cells-states      34      0.105
    """
    rows = []
    keys = ["backbone", "task_name", "family", "task"]
    for (backbone, name, family, _), trials in log.trials.groupby(keys, sort=False):
        done = trials[trials["status"] == Status.DONE]
        adapted = done[done["placement"] != HEAD_ONLY]
        gain = adapted["val_metric"] - adapted["head_only_val_metric"]
        rows.append(
            {
                "backbone": backbone,
                "task_name": name,
                "family": family,
                "trials": len(done),
                "failed": int((trials["status"] == Status.FAILED).sum()),
                "placements": adapted["placement"].nunique(),
                "seeds": adapted["seed"].nunique(),
                "head_only": float(done["head_only_val_metric"].mean()),
                "best_gain": float(gain.groupby(adapted["placement"]).mean().max()),
            }
        )
    return pd.DataFrame(rows)


def log_card(log: PlacementLog) -> str:
    """Describe a log: its size, how placements were chosen, and what each column means.

    Parameters
    ----------
    log : PlacementLog
        Any log.

    Returns
    -------
    str
        Markdown.

    Examples
    --------
    >>> import predictors
    >>> card = predictors.log_card(predictors.read_log(predictors.shipped_log()))
    >>> print(card.splitlines()[0])
    # Placement log
    """
    trials = log.trials
    done = trials[trials["status"] == Status.DONE]
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
