"""`autoplace probe`: measure, predict every single edge, draw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autoplace.adapters import within_budget
from autoplace.agent._candidates import parameter_budget
from autoplace.agent._open import open_task, probe_task
from autoplace.agent._predicting import predict_gains, predictor_in_charge
from autoplace.agent._progress import Progress
from autoplace.errors import UserError
from autoplace.placement import Edge
from autoplace.probing import ProbeTables
from autoplace.report import probe_heat_maps
from autoplace.settings import InputSettings, ProbeCommandSettings
from autoplace.tracking import Store

SHOWN = ("gradient_rank", "stable_rank", "effective_rank", "frobenius_norm", "snr", "energy_r8")


@dataclass(frozen=True)
class ProbeResult:
    """The three tables; `edges` with a column `predicted`, best predicted first."""

    tables: ProbeTables
    edges: pd.DataFrame
    task: dict[str, Any]
    predictor: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; all n² edges, best predicted first."""
        edges = [
            {
                "edge": str(Edge(row["source"], row["target"])),
                "kind": row["kind"],
                "predicted": row["predicted"],
                **{name: _number(row[name]) for name in SHOWN},
            }
            for row in self.edges.to_dict(orient="records")
        ]
        return {"edges": edges, "task": self.task, "predictor": self.predictor}

    def write(self, folder: Path | str) -> Path:
        """Write the tables as Parquet and the heat maps as PNG; returns the folder."""
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("edges", "nodes", "task"):
                getattr(self.tables, name).to_parquet(folder / f"{name}.parquet", index=False)
            probe_heat_maps(self.edges).savefig(folder / "probe.png", dpi=110)
        except OSError as error:
            raise UserError(
                f"cannot write to {folder}: {error.strerror}; choose another folder with --out"
            ) from error
        return folder


def probe(
    source: str, settings: ProbeCommandSettings, progress: Progress | None = None
) -> ProbeResult:
    """Score all n² edges of a backbone on a data set, without training or recording anything.

    Raises UserError (of any room) and PredictorError for what the user can mend.
    """
    progress = progress or Progress()
    in_charge = predictor_in_charge(Store(settings.store), settings.predictor)
    task = open_task(source, settings, InputSettings(), progress)
    n_nodes, dim = task.chain.n_nodes, task.chain.dim
    budget = parameter_budget(settings, dim)
    progress.stage(f"Probing all {n_nodes**2} edges of {task.chain.name} on {task.data.name}")
    tables = probe_task(task, settings).tables
    keys = tables.edges[["source", "target"]].to_numpy().tolist()
    singles = (within_budget([Edge(i, j)], settings.adapter, dim, budget) for i, j in keys)
    placements = [placement for placement in singles if placement is not None]  # all: see budget
    gains = predict_gains(in_charge.predictor, placements, tables, task.chain.name)
    edges = tables.edges.assign(predicted=gains).sort_values(
        "predicted", ascending=False, kind="stable", ignore_index=True
    )
    described = {
        "name": task.data.name,
        "fingerprint": task.fingerprint,
        **{str(name): _number(value) for name, value in tables.task.iloc[0].items()},
    }
    return ProbeResult(tables, edges, described, in_charge.origin)


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
