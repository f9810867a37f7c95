"""The options among the arguments of a function of the Python interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options among a function's `locals()`, which it must take before all else."""
    return {name: value for name, value in given.items() if name not in ("data", "runs")}
