"""Predicted gains of placements: from tables to the predictor in charge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import predictors
from autoplace.adapters import adapter_config, edge_parameters
from autoplace.placement import Placement
from autoplace.probing import ProbeTables
from autoplace.tracking import Store, champion


@dataclass(frozen=True)
class PredictorInCharge:
    """A loaded predictor and where it comes from: `shipped`, `champion` or a folder."""

    predictor: predictors.Predictor
    origin: str
    folder: Path


def predictor_in_charge(store: Store, given: str | None) -> PredictorInCharge:
    """The folder given, else the store's champion, else the shipped one.

    Raises PredictorError for a damaged artefact or one of another schema.
    """
    if given is not None:
        return PredictorInCharge(predictors.load_predictor(given), given, Path(given))
    promoted = champion(store)
    if promoted is not None:
        return PredictorInCharge(predictors.load_predictor(promoted), "champion", promoted)
    folder = predictors.shipped_folder()
    return PredictorInCharge(predictors.load_predictor(folder), "shipped", folder)


def placement_table(placements: Sequence[Placement], dim: int) -> pd.DataFrame:
    """One row per placement and edge, as `predictors.build_features` reads it."""
    rows = [
        {
            "placement": str(placement),
            "source": edge.source,
            "target": edge.target,
            "adapter_kind": spec.kind,
            "rank": adapter_config(spec).r,
            "parameters": edge_parameters(spec, dim),
            "unroll": placement.unroll,
        }
        for placement in placements
        for edge, spec in placement
    ]
    return pd.DataFrame(rows)


def features_of(
    placements: Sequence[Placement], tables: ProbeTables, backbone: str
) -> pd.DataFrame:
    """The predictor's feature matrix, one row per placement."""
    dim = int(tables.task["dim"].item())
    return predictors.build_features(
        tables.edges,
        tables.nodes,
        tables.task,
        placement_table(placements, dim),
        backbone=backbone,
    )


def predict_gains(
    predictor: predictors.Predictor,
    placements: Sequence[Placement],
    tables: ProbeTables,
    backbone: str,
) -> np.ndarray:
    """Predicted gain over head-only (placements,), in units of the metric."""
    return predictor.predict(features_of(placements, tables, backbone))
