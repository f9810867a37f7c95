"""Describe a placement log: a table of counts, and the card that is stored with the files."""

from __future__ import annotations

import pandas as pd

from .._protocols import comparisons, protocol_lines
from ..vocabulary import HEAD_ONLY, Protocol, Status
from ._files import PlacementLog
from ._schema import LOG_COLUMNS, LOG_SCHEMA_VERSION


def log_stats(log: PlacementLog) -> pd.DataFrame:
    """Count the trials of a log, by backbone, task and comparison.

    Parameters
    ----------
    log : PlacementLog
        Any log.

    Returns
    -------
    DataFrame (comparisons, 11)
        `backbone`, `task_name`, `family`, `protocol`, `comparison` (metric, epochs and what else
        trials must share to be comparable), finished `trials`, `failed` trials, distinct
        `placements` and `seeds`, `head_only` (validation metric) and `best_gain` (of the means over
        seeds). In the log's order.

    Examples
    --------
    >>> import predictors
    >>> stats = predictors.log_stats(predictors.read_log(predictors.shipped_log()))
    >>> stats[["backbone", "task_name", "trials", "best_gain"]].loc[1:2].round(3)
           backbone     task_name  trials  best_gain
    1  fashion-vit8  cells-states      36      0.155
    2  fashion-vit8  charts-kinds      36      0.065
    """
    rows = []
    keys = ["backbone", "task_name", "family", "task", "protocol", "comparison"]
    table = log.trials.assign(comparison=comparisons(log.trials))
    for (backbone, name, family, _, protocol, comparison), trials in table.groupby(
        keys, sort=False
    ):
        done = trials[trials["status"] == Status.DONE]
        adapted = done[done["placement"] != HEAD_ONLY]
        gain = adapted["val_metric"] - adapted["head_only_val_metric"]
        rows.append(
            {
                "backbone": backbone,
                "task_name": name,
                "family": family,
                "protocol": protocol,
                "comparison": comparison,
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
    """Describe a log: its size, its protocols, how placements were chosen, what columns mean.

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
    failed, pruned = ((trials["status"] == s).sum() for s in (Status.FAILED, Status.PRUNED))
    chosen = done["chosen_by"].fillna("unknown").value_counts()
    lines = [
        "# Placement log",
        "",
        f"Schema {LOG_SCHEMA_VERSION}: {len(done)} finished, {failed} failed and {pruned} pruned "
        f"trials of {done['placement'].nunique()} placements on {done['task_name'].nunique()} data "
        f"sets of {done['family'].nunique()} families, with "
        f"{', '.join(sorted(set(done['backbone'])))}.",
        "",
        *protocol_lines({"finished trials": done["protocol"].value_counts()}),
        *_table_rates(done),
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


def _table_rates(done: pd.DataFrame) -> list[str]:
    """List the learning rates of trials whose rate came from a table, by number of edges."""
    confounded = done[done["protocol"] == Protocol.TABLE_RATE]
    lines = [""] if len(confounded) else []
    for backbone, trials in confounded.groupby("backbone"):
        rates = [
            f"{rate:g} for {', '.join(str(int(n)) for n in sorted(set(sizes)))}"
            for rate, sizes in trials.groupby("learning_rate")["n_edges"]
        ]
        lines.append(f"- Learning rates with {backbone}: {'; '.join(rates)} edges.")
    return lines
