"""Which trials of a task may be compared, and what cards say about protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from .vocabulary import FIRST_OPTIMISER, Protocol

_MEANINGS = {
    Protocol.TABLE_RATE: "learning rate from a table, by backbone and number of edges",
    Protocol.GIVEN_RATE: "learning rate given by the user, the same for all placements",
    Protocol.FOUND_RATE: "learning rate found on the task, the same for all of an adapter kind",
}
_CONFOUNDED = (
    "Under `table-rate`, placements with different numbers of edges were trained with different "
    "learning rates. With the starter, the rate changes test accuracy by up to 14 points, the "
    "placement by 1 to 6. So these trials only compare placements with the same number of edges; "
    "differences between sizes are not evidence about placements."
)


def comparisons(trials: pd.DataFrame) -> pd.Series[Any]:
    """Name the comparison that each trial belongs to, within its task.

    Parameters
    ----------
    trials : DataFrame (rows, columns)
        Rows of a placement log.

    Returns
    -------
    Series (rows,) of str
        `metric:epochs`, then `:augment` if images were augmented, then `:optimiser` unless it is
        the first one, then `:protocol` unless it is `table-rate`; the training sets of older
        releases do not name these two. A given rate is part of the name (`given-rate=0.01`),
        because one task may run with several.
    """
    numbers = trials[["epochs", "learning_rate"]].astype(float)
    texts = (trials[name] for name in ("metric", "augment", "optimiser", "protocol"))
    rows = zip(*texts, numbers["epochs"], numbers["learning_rate"], strict=True)
    return pd.Series([_name(*row) for row in rows], index=trials.index, dtype=object)


def protocol_of(comparison: str) -> Protocol:
    """Return the protocol of a comparison; text may precede its name, such as a task."""
    last = comparison.rpartition(":")[2].partition("=")[0]
    return Protocol(last) if last in set(Protocol) else Protocol.TABLE_RATE


def protocol_lines(counts: Mapping[str, pd.Series[Any]]) -> list[str]:
    """Return a Markdown table of counts per protocol, and a warning if one is confounded.

    counts: for each heading, such as "trials", the counts by protocol.
    """
    known = [protocol for protocol in Protocol if any(c.get(protocol, 0) for c in counts.values())]
    lines = [
        f"| protocol | {' | '.join(counts)} | meaning |",
        "|---" * (len(counts) + 2) + "|",
    ]
    for protocol in known:
        numbers = " | ".join(str(each.get(protocol, 0)) for each in counts.values())
        lines.append(f"| {protocol} | {numbers} | {_MEANINGS[protocol]} |")
    if Protocol.TABLE_RATE in known:
        lines += ["", _CONFOUNDED]
    return lines


def _name(
    metric: str, augment: str | None, optimiser: str, protocol: str, epochs: float, rate: float
) -> str:
    parts = [metric, f"{epochs:g}"]
    if augment is not None and augment != "none":
        parts.append(augment)
    if optimiser != FIRST_OPTIMISER:
        parts.append(optimiser)
    if protocol == Protocol.GIVEN_RATE:
        parts.append(f"{protocol}={rate:g}")
    elif protocol != Protocol.TABLE_RATE:
        parts.append(protocol)
    return ":".join(parts)
