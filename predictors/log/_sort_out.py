"""Divide a placement log into usable rows and rows that are set aside with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..vocabulary import Status
from ._checks import check_columns, reject_rows
from ._families import settle_families
from ._schema import COLUMN_NAMES, LOG_COLUMNS, upgrade_log

# Two rows with equal values here are the same trial, which must give the same outcome again.
_SAME_TRIAL = [
    "task", "backbone_sha256", "placement", "learning_rate", "protocol", "optimiser",
    "weight_decay", "batch_size", "epochs", "augment", "precision", "seed", "metric", "versions",
    "git_commit",
]  # fmt: skip
# Values that all trials of a task must share; `settle_families` takes care of the family.
_OF_A_TASK = ["group", "backbone", "backbone_sha256", "n_nodes"]
_MEASURED = [c.name for c in LOG_COLUMNS if c.outcome or c.name.startswith("head_only_")]
# Placements trained side by side round differently, which flips the class of 1 image in 200.
FLIP_RATE = 0.005
USUAL_N_VAL = 200  # used if the number is unknown: that of the built-in tasks


def sort_out(log: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide a placement log into rows that can be used and rows that are set aside.

    Parameters
    ----------
    log : DataFrame (rows, columns)
        Columns of `LOG_COLUMNS`, in any order. Rows of an older schema are upgraded. Rows must be
        in order of time, the oldest first, because later rows decide families.

    Returns
    -------
    kept : DataFrame
        Usable rows in their original order, with settled families (`settle_families`).
    set_aside : DataFrame (rows, 3)
        `row` (position from 0 in `log`), `trial_id` and the first `reason` found.

    Raises
    ------
    PredictorError
        Columns are missing or unknown.

    Notes
    -----
    Three kinds of rows are set aside: bad rows (`reject_rows`), rows that repeat another, and rows
    that contradict one another, of which none is kept.

    Rows of the same trial with two ids are one trial that ran twice. Rounding may flip the class
    of a few of the n validation images, each with probability 0.005 or less. The outcomes may
    differ by the mean plus three standard deviations of that many flips, and always by one image (1
    of 40 images, 4 of 200, 71 of 10,000). If they do not differ by more, the first row is kept with
    the mean of the outcomes, and the others are set aside. Otherwise all are set aside. Accuracies
    are compared if all rows have one, because other metrics do not count all images equally.

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
    # The source of a family is not part of the result of a trial.
    repeats = log.duplicated([name for name in COLUMN_NAMES if name != "family_source"])
    distinct = log[~repeats]
    bad = reject_rows(distinct)
    twice = distinct["trial_id"].notna() & distinct["trial_id"].duplicated(keep=False)
    found = [
        _complaints(repeats, "repeats an earlier row"),
        _complaints(twice, "another row with the same trial_id contradicts it"),
        pd.DataFrame({"row": distinct.index[bad["row"].tolist()], "reason": bad["reason"]}),
    ]
    sound = log.drop(index=sorted(set(pd.concat(found)["row"])))
    found.append(
        _complaints(_contradictory_tasks(sound), "other rows describe its task differently")
    )
    done = sound[sound["status"] == Status.DONE]
    # `dropna=False`: two unknown commits or versions count as equal.
    trial = done.groupby(_SAME_TRIAL, dropna=False, sort=False).ngroup()
    apart = _outcomes_differ(done, trial)
    found.append(_complaints(apart, "another row of the same trial has a different outcome"))
    again = trial.duplicated() & ~apart
    found.append(_complaints(again, "an earlier row has the same trial; outcomes are averaged"))
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
    """Whether the outcomes of each row's trial differ by more than rounding can explain."""
    accuracy = done["val_accuracy"].astype(float)
    everywhere = accuracy.notna().groupby(trial).transform("all")
    outcome = accuracy.where(everywhere, done["val_metric"].astype(float)).groupby(trial)
    images = done["n_val"].astype(float).groupby(trial).transform("min").fillna(USUAL_N_VAL)
    flips = FLIP_RATE * images + 3 * np.sqrt(FLIP_RATE * images)
    # The tiny addition is needed because binary fractions of images are not exact.
    tolerance = np.floor(flips.clip(lower=1) + 1e-9) / images + 1e-9
    differ: pd.Series[Any] = outcome.transform("max") - outcome.transform("min") > tolerance
    return differ


def _contradictory_tasks(log: pd.DataFrame) -> pd.Series[Any]:
    """Whether rows of each row's task disagree on a value that a task can have only once."""
    counts = log.groupby("task")[_OF_A_TASK].transform("nunique", dropna=False)
    return (counts > 1).any(axis=1)


def _complaints(rows: pd.Series[Any], reason: str) -> pd.DataFrame:
    return pd.DataFrame({"row": rows.index[np.asarray(rows, dtype=bool)], "reason": reason})
