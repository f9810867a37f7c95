"""A trial's row as MLflow keeps it: JSON in the tags of the trial's run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from autoplace.tracking._json import to_json

TRIAL_TAG = "autoplace.trial_id"
ROW_TAG = "autoplace.row"
_MAX_TAG = 4500  # MLflow cuts longer tags silently: at 8000 characters, older servers at 5000


def encode_row(row: Mapping[str, object]) -> dict[str, str]:
    """Write a row as tags: `autoplace.row`, continued in `autoplace.row.1`, ... if it is long."""
    text = to_json(row)
    parts = [text[start : start + _MAX_TAG] for start in range(0, len(text), _MAX_TAG)]
    return {_part_name(number): part for number, part in enumerate(parts)}


def decode_row(tags: Mapping[str, str]) -> dict[str, Any] | None:
    """Read the row in a run's tags; None if there is none, or only a part of it was written.

    Examples
    --------
    >>> decode_row({"autoplace.row": '{"trial_id": "a"', "autoplace.row.1": "}"})
    {'trial_id': 'a'}
    """
    parts: list[str] = []
    while (name := _part_name(len(parts))) in tags:
        parts.append(tags[name])
    try:
        row: dict[str, Any] = json.loads("".join(parts))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _part_name(number: int) -> str:
    return ROW_TAG if number == 0 else f"{ROW_TAG}.{number}"
