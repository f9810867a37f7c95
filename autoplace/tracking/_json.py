"""Strict JSON: NumPy values become plain ones, NaN and infinity become null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def to_json(value: object, indent: int | None = None) -> str:
    """Write `value` as JSON that any reader accepts.

    Python's own writer would write a bare `NaN`, which is not JSON. Here it becomes null, which
    reads back as a missing value.

    Parameters
    ----------
    value : object
        Mappings, sequences, sets, paths, NumPy scalars and arrays, tensors, and plain values.
    indent : int, optional
        Spaces per level; without it all is on one line.

    Returns
    -------
    str
        The JSON text.

    Raises
    ------
    TypeError
        The value has no JSON form.

    Examples
    --------
    >>> import numpy as np
    >>> to_json({"loss": float("nan"), "ranks": np.array([3, 1]), "seed": np.int64(7)})
    '{"loss": null, "ranks": [3, 1], "seed": 7}'
    """
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, tensors
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
