"""Short names for values: what a fingerprint or a key is made of."""

from __future__ import annotations

import hashlib
import json


def digest(value: object) -> str:
    """Return the first 16 hex digits of the SHA-256 of a JSON value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
