"""Find rows of a placement log that are bad in themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from .._errors import PredictorError
from ..vocabulary import HEAD_ONLY, LOG_LOSS, METRICS, FamilySource, Protocol, Status
from ._schema import COLUMN_NAMES, LOG_COLUMNS, LOG_SCHEMA_VERSION, LogColumn


def check_columns(log: pd.DataFrame) -> None:
    """Raise PredictorError unless the columns are those of a placement log, in any order."""
    missing = [name for name in COLUMN_NAMES if name not in log.columns]
    unknown = [str(name) for name in log.columns if name not in COLUMN_NAMES]
    if missing or unknown:
        raise PredictorError(
            f"not a placement log of schema {LOG_SCHEMA_VERSION}: "
            f"missing columns: {', '.join(missing) or 'none'}; "
            f"unknown columns: {', '.join(unknown) or 'none'}"
        )


def reject_rows(log: pd.DataFrame) -> pd.DataFrame:
    """Find what is wrong with the rows of a placement log.

    Parameters
    ----------
    log : DataFrame (rows, columns)
        Columns of `LOG_COLUMNS`, in any order.

    Returns
    -------
    DataFrame (complaints, 3)
        `row` (position from 0), `trial_id` and `reason`. A row may have several reasons. Empty
        if every row is valid.

    Raises
    ------
    PredictorError
        Columns are missing or unknown.

    Examples
    --------
    >>> import predictors
    >>> log = predictors.read_log(predictors.shipped_log()).trials.head(3)
    >>> predictors.reject_rows(log.assign(seconds=[3.0, -1.0, 2.0]))[["row", "reason"]]
       row                                   reason
    0    1  seconds is not a number within [0, inf]
    """
    check_columns(log)
    log = log.reset_index(drop=True)
    complaints: list[tuple[int, str]] = []

    def complain(rows: pd.Series[Any], reason: str) -> None:
        complaints.extend((int(row), reason) for row in np.flatnonzero(rows))

    done, failed = log["status"] == Status.DONE, log["status"] == Status.FAILED
    for column in LOG_COLUMNS:
        values = log[column.name]
        given = values.notna() & (values.astype(str).str.strip() != "")
        if column.need != "optional":
            complain(~given & (done | (column.need == "always")), f"{column.name} is missing")
        if column.outcome:
            complain(~done & given, f"{column.name} is given although the trial is not done")
        if column.dtype != "str":
            for rows, low, high in _ranges(column, log):
                # A blank text is no number: what reads the column later could not convert it.
                outside = rows & values.notna() & ~_is_in_range(values, column, low, high)
                complain(outside, _range_complaint(column, low, high))

    complain(
        log["schema_version"].notna() & (log["schema_version"] != LOG_SCHEMA_VERSION),
        f"schema_version is not {LOG_SCHEMA_VERSION}",
    )
    complain(
        log["trial_id"].notna() & log["trial_id"].duplicated(),
        "trial_id is already used in an earlier row",
    )
    complain(~log["status"].isin(list(Status)), f"status is not one of {', '.join(Status)}")
    complain(~log["protocol"].isin(list(Protocol)), f"protocol is not one of {', '.join(Protocol)}")
    complain(~log["metric"].isin(METRICS), f"metric is not one of {', '.join(METRICS)}")
    reason_given = log["failure_reason"].notna() & (log["failure_reason"] != "")
    complain(failed & ~reason_given, "failed without a failure_reason")
    complain(~failed & reason_given, "failure_reason is given although the trial did not fail")
    complain(
        (log["placement"] == HEAD_ONLY) != (log["n_edges"] == 0), "n_edges contradicts placement"
    )
    source = log["family_source"]
    complain(
        source.notna() & ~source.isin(list(FamilySource)),
        f"family_source is not one of {', '.join(FamilySource)}",
    )
    complain(~log["versions"].map(_is_json_object), "versions is not a JSON object")

    found = pd.DataFrame(sorted(complaints), columns=["row", "reason"])
    found.insert(1, "trial_id", log["trial_id"].iloc[found["row"].to_numpy(dtype=int)].to_numpy())
    return found


def validate_log(log: pd.DataFrame) -> None:
    """Check that every row of a placement log is valid.

    Parameters
    ----------
    log : DataFrame (rows, columns)
        Columns of `LOG_COLUMNS`, in any order.

    Raises
    ------
    PredictorError
        Columns are missing or unknown, or `reject_rows` finds something; the message names the
        first rows and reasons.

    Examples
    --------
    >>> import predictors
    >>> log = predictors.read_log(predictors.shipped_log()).trials
    >>> predictors.validate_log(log)
    """
    found = reject_rows(log)
    if len(found):
        lines = [f"row {c.row} (trial {c.trial_id}): {c.reason}" for c in found[:3].itertuples()]
        raise PredictorError(
            f"the placement log has {found['row'].nunique()} bad rows among {len(log)}: "
            f"{'; '.join(lines)}{'; …' if len(found) > 3 else ''}"
        )


def _ranges(column: LogColumn, log: pd.DataFrame) -> Iterator[tuple[pd.Series[bool], float, float]]:
    """Yield the ranges of a column, lowest and highest value, with the rows each is for."""
    loss = (log["metric"] == LOG_LOSS) & column.of_metric
    yield ~loss, column.low, column.high
    yield loss, -np.inf, 0.0


def _is_in_range(
    values: pd.Series[Any], column: LogColumn, low: float, high: float
) -> pd.Series[bool]:
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    fits = numbers.between(low, high) & np.isfinite(numbers)
    return fits & (numbers % 1 == 0) if column.dtype == "int64" else fits


def _range_complaint(column: LogColumn, low: float, high: float) -> str:
    kind = "a whole number" if column.dtype == "int64" else "a number"
    return f"{column.name} is not {kind} within [{low:g}, {high:g}]"


def _is_json_object(text: Any) -> bool:
    """Whether `text` is a JSON object or missing."""
    if not isinstance(text, str):
        return bool(pd.isna(text))
    try:
        return text == "" or isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
