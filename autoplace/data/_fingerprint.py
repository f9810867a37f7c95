"""The identity of a data set, known before any image is decoded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def fingerprint(
    rows: Iterable[tuple[str, str, str, int]],
    contents: Mapping[str, str] | None = None,
    reading: Mapping[str, Any] | None = None,
) -> str:
    """Compute the SHA-256 of a data set's list of images and of some images' contents.

    Neither the order of the rows nor the location of the data set matters.

    Parameters
    ----------
    rows : iterable of (str, str, str, int)
        Split, path relative to the data, class name and number of bytes of every image.
    contents : mapping of str to str, default=None
        Maps the relative path of each image that was read to the digest of its bytes.
    reading : mapping of str to JSON values, default=None
        What is unusual about how images are read, since other pixels make another data set.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    parts = (contents or {}, reading or {})
    for row in (*sorted(rows), *(item for part in parts for item in sorted(part.items()))):
        digest.update(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogateescape"))
        digest.update(b"\n")
    return digest.hexdigest()
