"""The placement log as MLflow keeps it: one row per trial, as JSON in the trial run's tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autoplace.tracking._error import TrackingError, translated
from autoplace.tracking._json import to_json

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run as MlflowRun

    from autoplace.tracking._store import Store

TRIAL_TAG = "autoplace.trial_id"
_ROW_TAG = "autoplace.row"
# MLflow cuts longer tags without a word (mlflow.utils.validation; older servers at 5000).
_MAX_TAG = 4500

_TEXT = "text"
_NUMBER = "number"
# The placement-log row, column by column in its order; `predictors` gives each its meaning.
ROW_COLUMNS: dict[str, str] = {
    "schema_version": _NUMBER,
    "trial_id": _TEXT,
    "task": _TEXT,
    "task_name": _TEXT,
    "family": _TEXT,
    "group": _TEXT,
    "backbone": _TEXT,
    "backbone_sha256": _TEXT,
    "n_nodes": _NUMBER,
    "probe_key": _TEXT,
    "placement": _TEXT,
    "adapter_kind": _TEXT,
    "n_edges": _NUMBER,
    "parameters": _NUMBER,
    "learning_rate": _NUMBER,
    "weight_decay": _NUMBER,
    "batch_size": _NUMBER,
    "epochs": _NUMBER,
    "augment": _TEXT,
    "precision": _TEXT,
    "seed": _NUMBER,
    "status": _TEXT,
    "failure_reason": _TEXT,
    "metric": _TEXT,
    "val_metric": _NUMBER,
    "val_accuracy": _NUMBER,
    "val_loss": _NUMBER,
    "test_metric": _NUMBER,
    "test_accuracy": _NUMBER,
    "head_only_val_metric": _NUMBER,
    "head_only_val_accuracy": _NUMBER,
    "head_only_val_loss": _NUMBER,
    "head_only_test_metric": _NUMBER,
    "head_only_test_accuracy": _NUMBER,
    "chosen_by": _TEXT,
    "propensity": _NUMBER,
    "seconds": _NUMBER,
    "versions": _TEXT,
    "git_commit": _TEXT,
}


def encode_row(row: Mapping[str, object]) -> dict[str, str]:
    """A placement-log row as tags: `autoplace.row`, continued in `autoplace.row.1`, ... if long.

    Raises TrackingError for a column that the placement log does not have.
    """
    unknown = sorted(set(row) - set(ROW_COLUMNS))
    if unknown:
        raise TrackingError(
            f"the placement log has no column {', '.join(map(repr, unknown))}; "
            f"its columns are {', '.join(ROW_COLUMNS)}"
        )
    text = to_json(row)
    parts = [text[start : start + _MAX_TAG] for start in range(0, len(text), _MAX_TAG)]
    return {_part_name(number): part for number, part in enumerate(parts)}


def decode_row(tags: Mapping[str, str]) -> dict[str, Any] | None:
    """The row in a run's tags; None where there is none, or it was written only in part."""
    parts: list[str] = []
    while (name := _part_name(len(parts))) in tags:
        parts.append(tags[name])
    try:
        row: dict[str, Any] = json.loads("".join(parts))
    except ValueError:
        return None
    return row


def read_records(store: Store) -> pd.DataFrame:
    """All placement-log rows in the store, over all experiments, oldest first.

    Returns
    -------
    DataFrame
        One row per trial id (the latest where one was recorded twice) and every column of the
        placement log even when there is no row; numbers missing are NaN, texts missing are None.

    Raises
    ------
    TrackingError
        The store cannot be read.
    """
    rows: dict[str, dict[str, Any]] = {}
    if store.exists:
        for run in search_all(store, f"tags.`{_ROW_TAG}` LIKE '%'"):
            row = decode_row(run.data.tags)
            if row is not None:
                rows[row["trial_id"]] = row
    return _as_table(list(rows.values()))


def search_all(store: Store, condition: str) -> list[MlflowRun]:
    """Every active run of the store that meets an MLflow filter, oldest first."""
    found: list[MlflowRun] = []
    client = store.client
    with translated("read the runs", store.address):
        experiments: list[str] = []
        token = None
        while True:
            page = client.search_experiments(max_results=1000, page_token=token)
            experiments += [experiment.experiment_id for experiment in page]
            token = page.token
            if not token:
                break
        while True:
            runs = client.search_runs(
                experiments,
                condition,
                max_results=1000,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            found += runs
            token = runs.token
            if not token:
                return found


def _part_name(number: int) -> str:
    return _ROW_TAG if number == 0 else f"{_ROW_TAG}.{number}"


def _as_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame(rows, columns=list(ROW_COLUMNS))
    for column, kind in ROW_COLUMNS.items():
        if kind == _NUMBER:
            table[column] = table[column].astype("float64")
        else:
            values = [None if pd.isna(value) else value for value in table[column]]
            table[column] = pd.Series(values, dtype="object", index=table.index)
    return table
