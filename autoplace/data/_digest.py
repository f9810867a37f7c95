"""Short digests of values, used as fingerprints of tasks and keys of probes."""

from __future__ import annotations

import hashlib
import json


def short_digest(value: object) -> str:
    """Return the first 16 hex digits of the SHA-256 of a JSON value.

    Examples
    --------
    >>> short_digest({"seed": 0, "images": 256}) == short_digest({"images": 256, "seed": 0})
    True
    """
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
