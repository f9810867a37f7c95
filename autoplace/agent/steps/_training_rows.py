"""Turn the records of a store into the rows that a predictor is trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

import predictors
from autoplace.agent.steps._predict import placement_features
from autoplace.placement import Placement
from autoplace.probing import ProbeTables
from autoplace.tracking import ProbeMissingError, Store, fetch_probe, read_rows
from predictors.vocabulary import HEAD_ONLY, Status

FOREIGN = "written by a release with other columns"


@dataclass(frozen=True)
class Learnable:
    """The finished trials of a store that can be learnt from.

    Attributes
    ----------
    log : DataFrame (trials, columns)
        Rows of the placement log.
    probes : dict of str to dict of str to DataFrame
        The tables of the probes that the trials refer to, by key.
    set_aside : dict of str to int
        Finished trials that were set aside, by reason.
    """

    log: pd.DataFrame
    probes: dict[str, dict[str, pd.DataFrame]]
    set_aside: dict[str, int]


def read_log_rows(store: Store) -> tuple[pd.DataFrame, int]:
    """Read a store's trials as a placement log.

    Returns
    -------
    log : DataFrame (trials, columns)
        Oldest first.
    foreign : int
        Number of rows left out because a release with other columns wrote them.
    """
    columns = {column.name for column in predictors.LOG_COLUMNS}
    rows = read_rows(store)
    known = [row for row in rows if row.keys() <= columns]
    return predictors.log_table(known), len(rows) - len(known)


def read_learnable(store: Store) -> Learnable:
    """Check a store's finished trials and fetch the probes that they refer to.

    Raises
    ------
    TrackingError
        The store cannot be read.
    """
    log, foreign = read_log_rows(store)
    log = predictors.settle_families(log)
    kept, rejected = predictors.sort_out(log[log["status"] == Status.DONE])
    reasons = {str(reason): int(n) for reason, n in rejected["reason"].value_counts().items()}
    if foreign:
        reasons[FOREIGN] = foreign
    probes: dict[str, dict[str, pd.DataFrame]] = {}
    for key in sorted(set(kept["probe_key"].dropna())):
        try:
            probes[key] = fetch_probe(store, key)
        except ProbeMissingError:
            continue
    described = kept["probe_key"].isin(list(probes))
    if not described.all():
        reasons["its probe is missing"] = int((~described).sum())
    return Learnable(kept[described].reset_index(drop=True), probes, reasons)


def training_set(
    log: pd.DataFrame, tables_of: Callable[[str], Mapping[str, pd.DataFrame]]
) -> predictors.TrainingSet:
    """Make the training set of a placement log: features and gains.

    Parameters
    ----------
    log : DataFrame (trials, columns)
        A placement log.
    tables_of : callable
        Maps a probe's key to its tables `edges`, `nodes` and `task`.

    Raises
    ------
    PredictorError
        The log has no finished trial with adapters, or it has bad rows.

    Examples
    --------
    >>> import predictors
    >>> log = predictors.read_log(predictors.shipped_log())
    >>> some = log.trials[log.trials["task_name"] == "digits"]
    >>> len(training_set(some, log.probes.__getitem__)) > 20
    True
    """
    features = {}
    for key, rows in log[log["placement"] != HEAD_ONLY].groupby("probe_key"):
        tables = ProbeTables(**tables_of(str(key)))
        placements = [Placement.parse(text) for text in sorted(set(rows["placement"]))]
        features[str(key)] = placement_features(placements, tables, str(rows["backbone"].iloc[0]))
    return predictors.build_training_set(log, features)
