"""Which rows of a placement log can be used, and why the others are set aside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ._log import reject_rows, upgrade_log

# What makes two rows the same trial: run again, it must give the same outcome.
_SAME_TRIAL = [
    "task", "backbone_sha256", "placement", "learning_rate", "weight_decay", "batch_size",
    "epochs", "augment", "precision", "seed", "metric", "versions", "git_commit",
]  # fmt: skip
# What must be one and the same for all trials of a task; `reject_rows` sees to the family.
_OF_A_TASK = ["group", "backbone", "backbone_sha256", "n_nodes"]
# Placements trained side by side round differently; more than this is no rounding.
TOLERANCE = 0.02


def sort_out(log: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide a placement log into rows that can be used and rows that are set aside.

    Set aside are bad rows (`reject_rows`), rows that repeat another (its id, or the same trial run
    again), and rows that contradict another: then neither is kept.

    Parameters
    ----------
    log : DataFrame (rows, columns)
        Columns of `LOG_COLUMNS`, in any order; rows of an older schema are brought up to date.

    Returns
    -------
    kept : DataFrame
        In the order they came in.
    set_aside : DataFrame (rows, 3)
        `row` (position from 0 in `log`), `trial_id` and the first `reason` found.

    Raises
    ------
    PredictorError
        Columns are missing or unknown.
    """
    if "schema_version" in log.columns:
        log = upgrade_log(log)
    log = log.reset_index(drop=True)
    distinct = log.drop_duplicates()
    bad = reject_rows(distinct)
    twice = distinct["trial_id"].notna() & distinct["trial_id"].duplicated(keep=False)
    found = [
        _complaints(log.duplicated(), "repeats an earlier row"),
        _complaints(twice, "its trial_id is that of another row, which says otherwise"),
        pd.DataFrame({"row": distinct.index[bad["row"].tolist()], "reason": bad["reason"]}),
    ]
    sound = log.drop(index=sorted(set(pd.concat(found)["row"])))
    found.append(_complaints(_contradictory_tasks(sound), "its task is described in two ways"))
    done = sound[sound["status"] == "done"]
    # `dropna=False`: a commit or version that is not known is the same as another that is not.
    twins = done.groupby(_SAME_TRIAL, dropna=False, sort=False)["val_metric"]
    apart = (twins.transform("max") - twins.transform("min")).astype(float) > TOLERANCE
    found.append(_complaints(apart, "the same trial has another outcome in another row"))
    again = done.duplicated(_SAME_TRIAL) & ~apart
    found.append(_complaints(again, "the same trial is in an earlier row"))
    aside = pd.concat(found).drop_duplicates("row").sort_values("row", ignore_index=True)
    aside.insert(1, "trial_id", log["trial_id"].iloc[aside["row"].to_numpy(dtype=int)].to_numpy())
    return log.drop(index=aside["row"].tolist()).reset_index(drop=True), aside


def _contradictory_tasks(log: pd.DataFrame) -> pd.Series[Any]:
    """Whether each row's task is said to have two of what it can have one of."""
    counts = log.groupby("task")[_OF_A_TASK].transform("nunique", dropna=False)
    return (counts > 1).any(axis=1)


def _complaints(rows: pd.Series[Any], reason: str) -> pd.DataFrame:
    return pd.DataFrame({"row": rows.index[np.asarray(rows, dtype=bool)], "reason": reason})
