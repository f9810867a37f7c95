"""A row of the placement log as MLflow keeps it: JSON in the tags of the trial's run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from autoplace.tracking._error import TrackingError
from autoplace.tracking._json import to_json

TRIAL_TAG = "autoplace.trial_id"
ROW_TAG = "autoplace.row"
# MLflow cuts longer tags without a word (mlflow.utils.validation; older servers at 5000).
_MAX_TAG = 4500

TEXT = "text"
NUMBER = "number"
# The placement-log row, column by column in its order; `predictors` gives each its meaning.
ROW_COLUMNS: dict[str, str] = {
    "schema_version": NUMBER,
    "trial_id": TEXT,
    "task": TEXT,
    "task_name": TEXT,
    "family": TEXT,
    "group": TEXT,
    "backbone": TEXT,
    "backbone_sha256": TEXT,
    "n_nodes": NUMBER,
    "probe_key": TEXT,
    "placement": TEXT,
    "adapter_kind": TEXT,
    "n_edges": NUMBER,
    "parameters": NUMBER,
    "learning_rate": NUMBER,
    "weight_decay": NUMBER,
    "batch_size": NUMBER,
    "epochs": NUMBER,
    "augment": TEXT,
    "precision": TEXT,
    "seed": NUMBER,
    "status": TEXT,
    "failure_reason": TEXT,
    "metric": TEXT,
    "val_metric": NUMBER,
    "val_accuracy": NUMBER,
    "val_loss": NUMBER,
    "test_metric": NUMBER,
    "test_accuracy": NUMBER,
    "head_only_val_metric": NUMBER,
    "head_only_val_accuracy": NUMBER,
    "head_only_val_loss": NUMBER,
    "head_only_test_metric": NUMBER,
    "head_only_test_accuracy": NUMBER,
    "chosen_by": TEXT,
    "propensity": NUMBER,
    "seconds": NUMBER,
    "versions": TEXT,
    "git_commit": TEXT,
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


def _part_name(number: int) -> str:
    return ROW_TAG if number == 0 else f"{ROW_TAG}.{number}"
