"""The identity of a data set before a single image is decoded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable


def fingerprint(rows: Iterable[tuple[str, str, str, int]]) -> str:
    """SHA-256 over (split, path relative to the data, class name, bytes) of every image.

    The order of the rows does not count, nor does the place the data set lies in.
    """
    digest = hashlib.sha256()
    for row in sorted(rows):
        digest.update(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogateescape"))
        digest.update(b"\n")
    return digest.hexdigest()
