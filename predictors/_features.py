"""Feature matrix of placements, from the probe's tables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ._edge_aggregates import SKETCH, aggregate_edges, log_or_nan
from ._errors import PredictorError
from ._kind_features import kind_features
from ._schema import EDGE_KINDS, NORMS, RANKED_STATISTICS, SCHEMA, SITE_STATISTICS

_TASK = ("n_classes", "n_train", "head_accuracy", "n_nodes", "dim")
_REQUIRED = {
    "edges": ("source", "target", *RANKED_STATISTICS, *NORMS, *SKETCH),
    "nodes": ("node", "separability"),
    "task": _TASK,
    "placements": (
        "placement", "source", "target", "adapter_kind", "maps", "rank", "parameters", "unroll",
    ),
    "sites": ("node", "map", *SITE_STATISTICS),
}  # fmt: skip


def build_features(
    edges: pd.DataFrame,
    nodes: pd.DataFrame,
    task: pd.DataFrame,
    placements: pd.DataFrame,
    *,
    backbone: str,
    sites: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Describe every placement by one row of `SCHEMA`'s columns.

    Parameters
    ----------
    edges, nodes, task : DataFrame
        The probe's tables of one task: n² rows, n rows and one row.
    placements : DataFrame
        One row per placement and edge: `placement` (text), `source`, `target`, `adapter_kind`,
        `maps` (of the sub-layer before `target` that the adapter changes, such as `q v`; empty for
        one on the stream), `rank`, `parameters` (of this edge's adapter alone), `unroll`.
        Head-only has no edges, so no row and no features: its gain is 0 by definition.
    backbone : str
        Name of the backbone, a key of the row.
    sites : DataFrame, optional
        The probe's table of the maps inside sub-layers; older probes have none.

    Returns
    -------
    DataFrame (placements, columns)
        Index: the placement texts in the order of their first appearance. What was not measured,
        or has no meaning (the cosine between edges of a placement of one edge), is NaN.

    Raises
    ------
    PredictorError
        A table lacks a column, `task` does not have one row, an edge occurs twice in a placement or
        in `edges`, a map in `sites`, or an edge names a node that the backbone does not have.

    Examples
    --------
    >>> import predictors
    >>> probe = next(iter(predictors.read_log(predictors.shipped_log()).probes.values()))
    >>> placements = pd.DataFrame(
    ...     {"placement": "0>5+7>3@bottleneck:r=8", "source": [0, 7], "target": [5, 3]}
    ... ).assign(adapter_kind="bottleneck", maps="", rank=8, parameters=1544, unroll=2)
    >>> X = predictors.build_features(**probe, placements=placements, backbone="fashion-vit8")
    >>> X.shape, float(X["fraction_recurrent"].item())
    ((1, 75), 0.5)
    """
    tables = {"edges": edges, "nodes": nodes, "task": task, "placements": placements}
    if sites is not None and not sites.empty:
        tables["sites"] = sites
    for name, table in tables.items():
        missing = [column for column in _REQUIRED[name] if column not in table.columns]
        if missing:
            raise PredictorError(
                f"the {name} table lacks {', '.join(missing)}; make it with this release"
            )
    if len(task) != 1:
        raise PredictorError(f"the task table has {len(task)} rows; give one task at a time")
    n_nodes = int(task["n_nodes"].iloc[0])
    _check_edges("edges", edges, n_nodes, by=["source", "target"])
    _check_edges("placements", placements, n_nodes, by=["placement", "source", "target"])

    owner, texts = pd.factorize(placements["placement"])
    index = pd.Index(list(texts), dtype="str")
    per_edge = placements.groupby(owner, sort=True)
    shape = _shape_features(placements, owner, n_nodes)
    columns = {
        "backbone": pd.Series(backbone, index=index, dtype="str"),
        "placement": index,
        **shape,
        **kind_features(sites, placements, owner),
        **aggregate_edges(edges, placements, owner, n_nodes),
        **{
            f"separability_{end}": _relative_separability(nodes, n_nodes)[per_edge[end].min()]
            for end in ("target", "source")
        },
        **{name: np.full(len(texts), float(task[name].iloc[0])) for name in _TASK},
    }
    return SCHEMA.check(pd.DataFrame(columns, index=index))


def _check_edges(name: str, table: pd.DataFrame, n_nodes: int, by: list[str]) -> None:
    """Raise PredictorError for nodes outside 0..n-1 and for edges listed twice."""
    outside = ~(table["source"].between(0, n_nodes - 1) & table["target"].between(0, n_nodes - 1))
    for problem, rows in (
        (f"no node of 0..{n_nodes - 1}", outside),
        ("twice", table.duplicated(by)),
    ):
        if rows.any():
            first = table[rows].iloc[0]
            raise PredictorError(
                f"the {name} table has edge {first['source']}>{first['target']}: {problem}; "
                "probe and placements must be of one backbone, each edge listed once"
            )


def _shape_features(
    placements: pd.DataFrame, owner: npt.NDArray[np.int64], n_nodes: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Describe placements before any data is seen: size, kinds, depths; (placements,)."""
    source, target = placements["source"].to_numpy(), placements["target"].to_numpy()
    last = n_nodes - 1
    rows = pd.DataFrame(
        {
            "fraction_sequential": source == target,
            "fraction_parallel": source == target - 1,
            "fraction_long_range": source < target - 1,
            "fraction_recurrent": source > target,
            "span_mean": np.abs(target - source) / last,
            "log_rank": log_or_nan(placements["rank"]),
            "source": source / last,
            "target": target / last,
            "unroll": placements["unroll"].to_numpy(dtype=float),
            "parameters": placements["parameters"].to_numpy(dtype=float),
        }
    ).astype(float)
    by = rows.groupby(owner, sort=True)
    mean, low, high = by.mean(), by.min(), by.max()
    features = {
        "n_edges": by.size(),
        "unroll": high["unroll"],
        "log_parameters": log_or_nan(by["parameters"].sum(min_count=1)),
    }
    shares = [f"fraction_{kind}" for kind in EDGE_KINDS]
    features |= {name: mean[name] for name in ("log_rank", "span_mean", *shares)}
    for end in ("target", "source"):
        features |= {
            f"{end}_lowest": low[end],
            f"{end}_mean": mean[end],
            f"{end}_highest": high[end],
        }
    return {name: np.asarray(values, dtype=float) for name, values in features.items()}


def _relative_separability(nodes: pd.DataFrame, n_nodes: int) -> npt.NDArray[np.float64]:
    """Separability of every node minus that of the last node, (n_nodes,)."""
    by_node = nodes.set_index("node")["separability"].reindex(range(n_nodes))
    return np.asarray(by_node - by_node.iloc[-1], dtype=float)
