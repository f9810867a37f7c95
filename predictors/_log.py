"""The placement log: what a row of it says, and which rows are refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from ._errors import PredictorError
from .vocabulary import HEAD_ONLY, METRICS, Status

LOG_SCHEMA_VERSION = 2
STATUSES = tuple(Status)

Need = Literal["always", "done", "optional"]


@dataclass(frozen=True)
class LogColumn:
    """One column of the placement log.

    `need` says which rows must have a value: all, the finished ones, or none. An `outcome` is what
    the trial measured; only a finished trial has one. Numbers lie in [`low`, `high`].
    """

    name: str
    dtype: Literal["str", "int64", "float64"]
    need: Need
    meaning: str
    outcome: bool = False
    low: float = -np.inf
    high: float = np.inf


def _text(name: str, need: Need, meaning: str) -> LogColumn:
    return LogColumn(name, "str", need, meaning)


def _count(name: str, need: Need, meaning: str, low: float = 0) -> LogColumn:
    return LogColumn(name, "int64", need, meaning, low=low)


def _share(name: str, need: Need, meaning: str, outcome: bool = False) -> LogColumn:
    return LogColumn(name, "float64", need, meaning, outcome, 0.0, 1.0)


def _positive(name: str, need: Need, meaning: str, outcome: bool = False) -> LogColumn:
    return LogColumn(name, "float64", need, meaning, outcome, 0.0)


LOG_COLUMNS = (
    _count("schema_version", "always", "LOG_SCHEMA_VERSION of the release that wrote the row"),
    _text("trial_id", "always", "unique name of the trial"),
    _text("task", "always", "fingerprint of data, split, label space, backbone and input size"),
    _text("task_name", "always", "name of the task for people"),
    _text("family", "always", "source or generator of the data; never split between folds"),
    _text("group", "optional", "group of tasks within the family"),
    _text("backbone", "always", "name of the backbone"),
    _text("backbone_sha256", "always", "SHA-256 of the backbone's weights"),
    _count("n_nodes", "always", "nodes of the backbone", low=1),
    _text("probe_key", "optional", "which probe tables describe the task to a predictor"),
    _text("placement", "always", "canonical text form; 'head-only' is the empty placement"),
    _text("adapter_kind", "optional", "kind of the adapters; none for head-only"),
    _count("n_edges", "always", "number of edges"),
    _count("parameters", "done", "trainable parameters"),
    _positive("learning_rate", "done", "peak learning rate"),
    _positive("weight_decay", "done", "weight decay"),
    _count("batch_size", "done", "images per step", low=1),
    _count("epochs", "done", "passes over the training images", low=1),
    _text("augment", "done", "random views of training images, and how many; 'none' for none"),
    _text("precision", "done", "what the trial computed in, and its cache where that differs"),
    _count("seed", "always", "seed of the trial"),
    _text("status", "always", "one of " + ", ".join(STATUSES)),
    _text("failure_reason", "optional", "why a failed trial failed; failed trials only"),
    _text("metric", "always", "one of " + ", ".join(METRICS)),
    _share("val_metric", "done", "metric on validation after the last epoch", outcome=True),
    _share("val_accuracy", "optional", "accuracy on validation, last epoch", outcome=True),
    _positive("val_loss", "optional", "loss on validation, last epoch", outcome=True),
    _share("test_metric", "optional", "metric on test; no predictor reads it", outcome=True),
    _share("test_accuracy", "optional", "accuracy on test; no predictor reads it", outcome=True),
    _share("head_only_val_metric", "done", "val_metric of head-only in the same loop"),
    _share("head_only_val_accuracy", "optional", "val_accuracy of head-only"),
    _positive("head_only_val_loss", "optional", "val_loss of head-only"),
    _share("head_only_test_metric", "optional", "test_metric of head-only"),
    _share("head_only_test_accuracy", "optional", "test_accuracy of head-only"),
    _text("chosen_by", "optional", "what proposed the placement"),
    _share("propensity", "optional", "probability with which it was proposed"),
    _positive("seconds", "done", "wall seconds of the trial"),
    _text("versions", "optional", "library versions, a JSON object"),
    _text("git_commit", "optional", "commit of the code that ran"),
)


# What rows of version 1, which did not say, always were.
_SINCE_2 = {"augment": "none", "precision": "float32"}


def upgrade_log(log: pd.DataFrame) -> pd.DataFrame:
    """The log with rows of an older schema as this release would have written them.

    Rows of a version that is not known stay as they are, for `reject_rows` to find.
    """
    old = log["schema_version"] == 1
    values = {
        name: log.get(name, pd.Series(None, index=log.index, dtype=object)).mask(old, value)
        for name, value in _SINCE_2.items()
    }
    version = log["schema_version"].mask(old, LOG_SCHEMA_VERSION)
    return log.assign(schema_version=version, **values)


def reject_rows(log: pd.DataFrame) -> pd.DataFrame:
    """Find what is wrong with the rows of a placement log.

    Parameters
    ----------
    log : DataFrame (rows, columns)
        Columns of `LOG_COLUMNS`, in any order.

    Returns
    -------
    DataFrame (complaints, 3)
        `row` (position from 0), `trial_id`, `reason`; a row may have several. Empty if all is well.

    Raises
    ------
    PredictorError
        Columns are missing or unknown.
    """
    names = [column.name for column in LOG_COLUMNS]
    missing = [name for name in names if name not in log.columns]
    unknown = [str(name) for name in log.columns if name not in names]
    if missing or unknown:
        raise PredictorError(
            f"not a placement log of schema {LOG_SCHEMA_VERSION}: "
            f"missing columns: {', '.join(missing) or 'none'}; "
            f"unknown columns: {', '.join(unknown) or 'none'}"
        )
    log = log.reset_index(drop=True)
    complaints: list[tuple[int, str]] = []

    def complain(rows: pd.Series[Any], reason: str) -> None:
        complaints.extend((int(row), reason) for row in np.flatnonzero(rows))

    done, failed = log["status"] == "done", log["status"] == "failed"
    for column in LOG_COLUMNS:
        values = log[column.name]
        given = values.notna() & (values.astype(str).str.strip() != "")
        if column.need != "optional":
            complain(~given & (done | (column.need == "always")), f"{column.name} is missing")
        if column.outcome:
            complain(~done & given, f"{column.name} is given though the trial is not done")
        if column.dtype != "str":
            complain(given & ~_is_in_range(values, column), _range_complaint(column))

    complain(
        log["schema_version"].notna() & (log["schema_version"] != LOG_SCHEMA_VERSION),
        f"schema_version is not {LOG_SCHEMA_VERSION}",
    )
    complain(log["trial_id"].notna() & log["trial_id"].duplicated(), "trial_id occurred before")
    complain(~log["status"].isin(STATUSES), f"status is none of {', '.join(STATUSES)}")
    complain(~log["metric"].isin(METRICS), f"metric is none of {', '.join(METRICS)}")
    reason_given = log["failure_reason"].notna() & (log["failure_reason"] != "")
    complain(failed & ~reason_given, "failed without a failure_reason")
    complain(~failed & reason_given, "failure_reason is given though the trial did not fail")
    complain(
        (log["placement"] == HEAD_ONLY) != (log["n_edges"] == 0), "n_edges contradicts placement"
    )
    complain(
        log["family"].notna() & (log.groupby("task")["family"].transform("nunique") > 1),
        "its task is said to be of two families",
    )
    complain(~log["versions"].map(_is_json_object), "versions is not a JSON object")

    found = pd.DataFrame(sorted(complaints), columns=["row", "reason"])
    found.insert(1, "trial_id", log["trial_id"].iloc[found["row"].to_numpy(dtype=int)].to_numpy())
    return found


def validate_log(log: pd.DataFrame) -> None:
    """Raise PredictorError, naming the first rows and reasons, unless every row is in order."""
    found = reject_rows(log)
    if len(found):
        lines = [f"row {c.row} (trial {c.trial_id}): {c.reason}" for c in found[:3].itertuples()]
        raise PredictorError(
            f"the placement log has {found['row'].nunique()} bad rows of {len(log)}: "
            f"{'; '.join(lines)}{'; …' if len(found) > 3 else ''}"
        )


def _is_in_range(values: pd.Series[Any], column: LogColumn) -> pd.Series[bool]:
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    fits = numbers.between(column.low, column.high) & np.isfinite(numbers)
    return fits & (numbers % 1 == 0) if column.dtype == "int64" else fits


def _range_complaint(column: LogColumn) -> str:
    kind = "a whole number" if column.dtype == "int64" else "a number"
    return f"{column.name} is not {kind} within [{column.low:g}, {column.high:g}]"


def _is_json_object(text: Any) -> bool:
    """Whether `text` is a JSON object, or not given at all."""
    if not isinstance(text, str):
        return bool(pd.isna(text))
    try:
        return text == "" or isinstance(json.loads(text), dict)
    except json.JSONDecodeError:
        return False
