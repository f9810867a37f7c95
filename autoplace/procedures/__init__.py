"""Procedures: what is done with trained placements, one file each."""

from autoplace.procedures._mera import (
    check_mergeable,
    merge_adapters,
    transport_plan,
)

__all__ = [
    "check_mergeable",
    "merge_adapters",
    "transport_plan",
]
