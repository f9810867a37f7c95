"""What a placement's adapter kinds change, and what the probe measured there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ._errors import PredictorError
from ._schema import MAPS, SITE_STATISTICS
from .vocabulary import ADAPTER_KINDS


def kind_features(
    sites: pd.DataFrame | None, placements: pd.DataFrame, owner: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[np.float64]]:
    """Describe which kinds the adapters are of, and the maps that they change.

    Parameters
    ----------
    sites : DataFrame or None
        The probe's table of one task: one row per sub-layer (`node`) and `map`, with the columns of
        `SITE_STATISTICS`. None or no rows for a probe that did not measure it.
    placements : DataFrame (rows,)
        One row per placement and edge, with `target`, `adapter_kind` and `maps`, the maps of the
        sub-layer before `target` that the adapter changes, as text with spaces, such as `q v`;
        empty for one on the stream. A word that is no map of `sites`, such as `kv` for the keys and
        values of extra tokens, says that the adapter is inside a sub-layer.
    owner : ndarray (rows,)
        Number of the placement that each row belongs to, 0, 1, 2, ...

    Returns
    -------
    dict of ndarray (placements,)
        Percentiles are ranks among all maps of the task, in (0, 1], ties sharing their mean; maps
        that were not measured are left out, and the value is NaN where none was.

    Raises
    ------
    PredictorError
        `sites` has a map twice.
    """
    words = [frozenset(str(text).split()) for text in placements["maps"]]
    inside = np.array([bool(each) for each in words], dtype=bool)
    shares = {"fraction_stream": ~inside, "fraction_inside": inside}
    for kind in ADAPTER_KINDS:
        shares[f"fraction_{kind}"] = (placements["adapter_kind"] == kind).to_numpy()
    for name in MAPS:
        shares[f"fraction_{name}"] = np.array([name in each for each in words], dtype=bool)
    means = pd.DataFrame(shares).astype(float).groupby(owner, sort=True).mean()
    features = {name: means[name].to_numpy() for name in shares}

    pairs = [
        (number, target, name)
        for number, target, each in zip(owner, placements["target"], words, strict=True)
        for name in sorted(each)
    ]
    changed = pd.DataFrame(pairs, columns=["owner", "node", "map"])
    measured = _percentiles(sites).reindex(pd.MultiIndex.from_frame(changed[["node", "map"]]))
    by = measured.groupby(changed["owner"].to_numpy(), sort=True)
    for how, table in (("mean", by.mean()), ("max", by.max())):
        of_all = table.reindex(range(len(means)))
        for name in SITE_STATISTICS:
            features[f"site_{name}_percentile_{how}"] = of_all[name].to_numpy(dtype=float)
    return features


def _percentiles(sites: pd.DataFrame | None) -> pd.DataFrame:
    """Rank every statistic among the maps of the task, indexed by node and map."""
    names = list(SITE_STATISTICS)
    if sites is None or sites.empty:
        sites = pd.DataFrame(columns=["node", "map", *names])
    twice = sites.duplicated(["node", "map"])
    if twice.any():
        first = sites[twice].iloc[0]
        raise PredictorError(
            f"the sites table has map {first['map']} of node {first['node']} twice; "
            "give the tables of one probe"
        )
    index = pd.MultiIndex.from_frame(sites[["node", "map"]])
    return sites[names].astype("float64").rank(pct=True).set_index(index)
