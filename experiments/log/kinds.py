"""Gains of adapter kinds, at one parameter budget, by where they are."""

from __future__ import annotations

import re

import pandas as pd

# In `chosen_by`; the panel has the bottlenecks that are everywhere.
_PLACE = re.compile(r"(?:panel:)?(published|every-block|early-half|late-half|random)(?::(.*))?")


def by_kind(done: pd.DataFrame, backbone: str) -> dict[str, dict[str, float]]:
    """Return the gain on test of each adapter kind and place on each task.

    A kind is as published, or in every block; in the early half of these places; and in the late
    half of them or, on the stream, at random.
    """
    first = done[(done["backbone"] == backbone) & (done["seed"] == 0)]
    found: dict[str, dict[str, float]] = {}
    for (kind, chosen_by), rows in first.groupby(["adapter_kind", "chosen_by"]):
        place = _PLACE.fullmatch(str(chosen_by))
        if place is None:
            continue
        name = place[2] if place[1] == "published" else place[1]
        values = rows.groupby("task_name")["gain"].mean()
        found[f"{kind}: {name}"] = {str(task): float(value) for task, value in values.items()}
    return found
