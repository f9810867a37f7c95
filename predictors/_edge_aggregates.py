"""What the probe measured on a placement's edges, summarised over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ._schema import NORMS, RANKED_STATISTICS

SKETCH = tuple(f"sketch_{i:02d}" for i in range(16))


def aggregate_edges(
    edges: pd.DataFrame, placements: pd.DataFrame, owner: npt.NDArray[np.int64], n_nodes: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Summarise what was measured per edge over each placement's edges: mean and maximum.

    Parameters
    ----------
    edges : DataFrame (at most n² rows)
        The probe's edge table, each edge once.
    placements : DataFrame (rows,)
        One row per placement and edge.
    owner : ndarray (rows,)
        Number of the placement that each row belongs to, 0, 1, 2, ...

    Returns
    -------
    dict of ndarray (placements,)
        Percentiles are ranks among all edges of the task, in (0, 1], ties sharing their mean:
        they compare across tasks, where raw gradients do not. Unmeasured edges are left out;
        NaN where none was measured.
    """
    measured = edges[["source", "target", *SKETCH]].copy()
    for name in RANKED_STATISTICS:
        measured[f"{name}_percentile"] = edges[name].rank(pct=True)
    for name in NORMS:
        measured[f"log_{name}"] = log_or_nan(edges[name])
    position = measured["source"] * n_nodes + measured["target"]
    on_edge = measured.set_index(position).reindex(
        placements["source"] * n_nodes + placements["target"]
    )

    statistics = [f"{name}_percentile" for name in RANKED_STATISTICS] + [f"log_{n}" for n in NORMS]
    by = on_edge[statistics].groupby(owner, sort=True)
    features: dict[str, npt.NDArray[np.float64]] = {}
    for how, table in (("mean", by.mean()), ("max", by.max())):
        features |= {f"{name}_{how}": table[name].to_numpy(dtype=float) for name in statistics}
    features["sketch_cosine_mean"] = _mean_cosine(
        on_edge[list(SKETCH)].to_numpy(dtype=float), owner
    )
    return features


def log_or_nan(values: pd.Series[Any]) -> npt.NDArray[np.float64]:
    """Natural logarithm; NaN where it is not defined (a gradient that is exactly zero)."""
    numbers = values.to_numpy(dtype=float)
    logs: npt.NDArray[np.float64] = np.full(len(numbers), np.nan)
    np.log(numbers, out=logs, where=numbers > 0)
    return logs


def _mean_cosine(
    sketches: npt.NDArray[np.float64], owner: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Mean |cosine| over the pairs of each placement's edges: how much their gradients overlap.

    sketches: (rows, width); owner: (rows,). Returns (placements,), NaN where there is no pair.
    Placements of equally many edges m are done together; memory: placements · m².
    """
    length = np.linalg.norm(sketches, axis=1, keepdims=True)
    unit = np.divide(sketches, length, out=np.full_like(sketches, np.nan), where=length > 0)
    counts = np.bincount(owner)
    rows_by_owner = np.argsort(owner, kind="stable")
    starts = np.cumsum(counts) - counts
    means = np.full(len(counts), np.nan)
    for size in np.unique(counts[counts > 1]):
        chosen = np.flatnonzero(counts == size)
        members = unit[rows_by_owner[starts[chosen, None] + np.arange(size)]]
        first, second = np.triu_indices(size, k=1)
        cosines = np.abs(members @ members.transpose(0, 2, 1))[:, first, second]
        known = np.isfinite(cosines)
        total, pairs = np.where(known, cosines, 0.0).sum(axis=1), known.sum(axis=1)
        means[chosen] = np.divide(total, pairs, out=np.full(len(chosen), np.nan), where=pairs > 0)
    return means
