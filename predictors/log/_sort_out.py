"""Which rows of a placement log can be used, and why the others are set aside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..vocabulary import Status
from ._checks import check_columns, reject_rows
from ._families import settle_families
from ._schema import COLUMN_NAMES, LOG_COLUMNS, upgrade_log

# What makes two rows the same trial: run again, it must give the same outcome.
_SAME_TRIAL = [
    "task", "backbone_sha256", "placement", "learning_rate", "weight_decay", "batch_size",
    "epochs", "augment", "precision", "seed", "metric", "versions", "git_commit",
]  # fmt: skip
# What must be one and the same for all trials of a task; `settle_families` sees to the family.
_OF_A_TASK = ["group", "backbone", "backbone_sha256", "n_nodes"]
_MEASURED = [c.name for c in LOG_COLUMNS if c.outcome or c.name.startswith("head_only_")]
# Placements trained side by side round differently, which flips the class of an image in 200.
FLIP_RATE = 0.005
USUAL_N_VAL = 200  # where the number is not known: that of the built-in tasks


def sort_out(log: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide a placement log into rows that can be used and rows that are set aside.

    Parameters
    ----------
    log : DataFrame (rows, columns)
        Columns of `LOG_COLUMNS`, in any order; rows of an older schema are upgraded. Rows in
        order of time, the oldest first, for families.

    Returns
    -------
    kept : DataFrame
        In the order they came in, with settled families (`settle_families`).
    set_aside : DataFrame (rows, 3)
        `row` (position from 0 in `log`), `trial_id` and the first `reason` found.

    Raises
    ------
    PredictorError
        Columns are missing or unknown.

    Notes
    -----
    Set aside are bad rows (`reject_rows`), rows that repeat another, and rows that contradict
    another: then neither is kept.

    Rows of the same trial under two ids are one trial that ran twice. Rounding may flip the class
    of a few of the n validation images, each with probability 0.005 or less. If the outcomes differ
    by no more than the mean plus three standard deviations of that many flips (never less than one
    image: 1 of 40 images, 4 of 200, 71 of 10,000), the first row is kept with the mean of the
    outcomes, and the others are set aside. If they differ by more, all are set aside. Accuracies
    are compared where all rows have one, because other metrics do not count images alike.

    Examples
    --------
    >>> import pandas as pd
    >>> import predictors
    >>> log = predictors.read_log(predictors.shipped_log()).trials.head(3)
    >>> kept, aside = predictors.sort_out(pd.concat([log, log.head(1)]))
    >>> len(kept)
    3
    >>> aside[["row", "reason"]]
       row                  reason
    0    3  repeats an earlier row
    """
    if "schema_version" in log.columns:
        log = upgrade_log(log)
    check_columns(log)
    log = settle_families(log.reset_index(drop=True))
    # Where a family came from is not part of what a trial found.
    repeats = log.duplicated([name for name in COLUMN_NAMES if name != "family_source"])
    distinct = log[~repeats]
    bad = reject_rows(distinct)
    twice = distinct["trial_id"].notna() & distinct["trial_id"].duplicated(keep=False)
    found = [
        _complaints(repeats, "repeats an earlier row"),
        _complaints(twice, "its trial_id is that of another row, which says otherwise"),
        pd.DataFrame({"row": distinct.index[bad["row"].tolist()], "reason": bad["reason"]}),
    ]
    sound = log.drop(index=sorted(set(pd.concat(found)["row"])))
    found.append(_complaints(_contradictory_tasks(sound), "its task is described in two ways"))
    done = sound[sound["status"] == Status.DONE]
    # `dropna=False`: a commit or version that is not known is the same as another that is not.
    trial = done.groupby(_SAME_TRIAL, dropna=False, sort=False).ngroup()
    apart = _outcomes_differ(done, trial)
    found.append(_complaints(apart, "the same trial has another outcome in another row"))
    again = trial.duplicated() & ~apart
    found.append(_complaints(again, "the same trial is in an earlier row; outcomes are averaged"))
    agreeing = trial[trial.duplicated(keep=False) & ~apart]
    means = done.loc[agreeing.index, _MEASURED].astype(float).groupby(agreeing).transform("mean")
    aside = pd.concat(found).drop_duplicates("row").sort_values("row", ignore_index=True)
    aside.insert(1, "trial_id", log["trial_id"].iloc[aside["row"].to_numpy(dtype=int)].to_numpy())
    kept = log.drop(index=aside["row"].tolist())
    if len(means):
        measured = kept[_MEASURED].astype(float)
        measured.update(means)
        kept = kept.assign(**measured)
    return kept.reset_index(drop=True), aside


def _outcomes_differ(done: pd.DataFrame, trial: pd.Series[Any]) -> pd.Series[Any]:
    """Whether the rows of each row's trial differ by more than rounding can explain."""
    accuracy = done["val_accuracy"].astype(float)
    everywhere = accuracy.notna().groupby(trial).transform("all")
    outcome = accuracy.where(everywhere, done["val_metric"].astype(float)).groupby(trial)
    images = done["n_val"].astype(float).groupby(trial).transform("min").fillna(USUAL_N_VAL)
    flips = FLIP_RATE * images + 3 * np.sqrt(FLIP_RATE * images)
    # The tiny addition: a difference of whole images is not exact in binary.
    tolerance = np.floor(flips.clip(lower=1) + 1e-9) / images + 1e-9
    differ: pd.Series[Any] = outcome.transform("max") - outcome.transform("min") > tolerance
    return differ


def _contradictory_tasks(log: pd.DataFrame) -> pd.Series[Any]:
    """Whether each row's task is said to have two of what it can have one of."""
    counts = log.groupby("task")[_OF_A_TASK].transform("nunique", dropna=False)
    return (counts > 1).any(axis=1)


def _complaints(rows: pd.Series[Any], reason: str) -> pd.DataFrame:
    return pd.DataFrame({"row": rows.index[np.asarray(rows, dtype=bool)], "reason": reason})
