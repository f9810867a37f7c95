"""Predict the gains of placements from the probe's tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

import predictors
from autoplace.adapters import adapter_rank, changed_maps, edge_parameters
from autoplace.backbones import BackboneShape
from autoplace.placement import Placement
from autoplace.probing import ProbeTables


def predict_gains(
    predictor: predictors.Predictor,
    placements: Sequence[Placement],
    tables: ProbeTables,
    backbone: str,
) -> np.ndarray:
    """Predict the gain of each placement over head-only.

    Parameters
    ----------
    predictor : predictors.Predictor
        A fitted predictor.
    placements : sequence of Placement
        Placements other than head-only.
    tables : ProbeTables
        The probe's tables of the task.
    backbone : str
        Name of the backbone.

    Returns
    -------
    ndarray (placements,)
        In units of the metric.
    """
    return predictor.predict(placement_features(placements, tables, backbone))


def placement_features(
    placements: Sequence[Placement], tables: ProbeTables, backbone: str
) -> pd.DataFrame:
    """Make the feature matrix of a predictor, one row per placement."""
    # Only the number of parameters depends on the shape; a log has no more of it than this.
    shape = BackboneShape.plain(int(tables.task["dim"].item()), int(tables.task["n_nodes"].item()))
    rows = [
        {
            "placement": str(placement),
            "source": edge.source,
            "target": edge.target,
            "adapter_kind": spec.kind,
            "maps": " ".join(changed_maps(spec, edge)),
            "rank": adapter_rank(spec),
            "parameters": edge_parameters(spec, edge, shape),
            "unroll": placement.unroll,
        }
        for placement in placements
        for edge, spec in placement
    ]
    return predictors.build_features(
        tables.edges,
        tables.nodes,
        tables.task,
        pd.DataFrame(rows),
        backbone=backbone,
        sites=tables.sites,
    )
