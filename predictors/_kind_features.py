"""What a placement's adapter kinds change, and what the probe measured there.

These columns are not in `SCHEMA` yet: the shipped predictor was fitted without them. They are for
the next one, to be joined to those of `build_features` by placement.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ._errors import PredictorError
from ._schema import Column

MAPS = ("norm", "q", "k", "v", "o", "fc1", "fc2")
SITE_STATISTICS = {
    "stable_rank": "stable rank of the gradient of the map's weight",
    "frobenius_norm": "Frobenius norm of the gradient of the map's weight",
    "gamma_norm": "norm of the gradient of a scale of the map's output",
    "beta_norm": "norm of the gradient of a shift of the map's output",
}
_PLACEMENTS = ("placement", "source", "target", "maps")


def _feature(name: str, meaning: str) -> Column:
    return Column(name, "float64", "feature", meaning)


KIND_COLUMNS = (
    _feature("fraction_stream", "share of the edges whose adapter reads a node and adds to one"),
    _feature("fraction_inside", "share of the edges whose adapter is inside a sub-layer"),
    *(
        _feature(f"fraction_{name}", f"share of the edges whose adapter changes the map {name}")
        for name in MAPS
    ),
    *(
        _feature(
            f"site_{name}_percentile_{how}",
            f"{how} over the maps that adapters inside sub-layers change of the within-task rank: "
            f"{text}",
        )
        for name, text in SITE_STATISTICS.items()
        for how in ("mean", "max")
    ),
)


def kind_features(sites: pd.DataFrame | None, placements: pd.DataFrame) -> pd.DataFrame:
    """Describe the adapter kinds of every placement by one row of `KIND_COLUMNS`.

    Parameters
    ----------
    sites : DataFrame or None
        The probe's table of one task: one row per sub-layer (`node`) and `map`, with the columns of
        `SITE_STATISTICS`. None or no rows for a probe that did not measure it.
    placements : DataFrame
        One row per placement and edge: `placement` (text), `source`, `target`, and `maps`, the maps
        of the sub-layer before `target` that the edge's adapter changes, as text with spaces, such
        as `q v`; empty if it reads a node and adds to one. A word that is no map of `sites`, such
        as `kv` for the keys and values of extra tokens, says that it is inside a sub-layer.

    Returns
    -------
    DataFrame (placements, columns)
        Index: the placement texts in the order of their first appearance. Percentiles are ranks
        among all maps of the task, in (0, 1], ties sharing their mean; maps that were not measured
        are left out, and the value is NaN where none was.

    Raises
    ------
    PredictorError
        A table lacks a column, or `sites` has a map twice.

    Examples
    --------
    >>> import pandas as pd
    >>> import predictors
    >>> sites = pd.DataFrame({"node": [1, 1], "map": ["q", "v"], "frobenius_norm": [0.1, 0.3]})
    >>> sites = sites.assign(stable_rank=2.0, gamma_norm=1.0, beta_norm=1.0)
    >>> edges = pd.DataFrame({"source": [0, 2], "target": [1, 5], "maps": ["v", ""]})
    >>> X = predictors.kind_features(sites, edges.assign(placement="0>1@lora:maps=v+2>5"))
    >>> X.shape, X["fraction_inside"].item(), X["site_frobenius_norm_percentile_mean"].item()
    ((1, 17), 0.5, 1.0)
    """
    _require("placements", placements, _PLACEMENTS)
    owner, texts = pd.factorize(placements["placement"])
    words = [frozenset(str(text).split()) for text in placements["maps"]]
    inside = np.array([bool(each) for each in words], dtype=bool)
    shares = {"fraction_stream": ~inside, "fraction_inside": inside}
    for name in MAPS:
        shares[f"fraction_{name}"] = np.array([name in each for each in words], dtype=bool)
    features = pd.DataFrame(shares).astype(float).groupby(owner, sort=True).mean()

    ranked = _percentiles(sites)
    pairs = [
        (number, target, name)
        for number, target, each in zip(owner, placements["target"], words, strict=True)
        for name in sorted(each)
    ]
    changed = pd.DataFrame(pairs, columns=["owner", "node", "map"])
    measured = ranked.reindex(pd.MultiIndex.from_frame(changed[["node", "map"]]))
    by = measured.groupby(changed["owner"].to_numpy(), sort=True)
    for how, table in (("mean", by.mean()), ("max", by.max())):
        of_all = table.reindex(range(len(texts)))
        features = features.join(of_all.add_prefix("site_").add_suffix(f"_percentile_{how}"))
    names = [column.name for column in KIND_COLUMNS]
    index = pd.Index(list(texts), dtype="str")
    return features[names].astype("float64").set_index(index)


def _percentiles(sites: pd.DataFrame | None) -> pd.DataFrame:
    """Rank every statistic among the maps of the task, indexed by node and map."""
    names = list(SITE_STATISTICS)
    if sites is None or sites.empty:
        sites = pd.DataFrame(columns=["node", "map", *names])
    _require("sites", sites, ("node", "map", *names))
    twice = sites.duplicated(["node", "map"])
    if twice.any():
        first = sites[twice].iloc[0]
        raise PredictorError(
            f"the sites table has map {first['map']} of node {first['node']} twice; "
            "give the tables of one probe"
        )
    index = pd.MultiIndex.from_frame(sites[["node", "map"]])
    return sites[names].astype("float64").rank(pct=True).set_index(index)


def _require(name: str, table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise PredictorError(
            f"the {name} table lacks {', '.join(missing)}; make it with this release"
        )
