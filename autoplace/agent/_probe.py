"""`autoplace probe`: measure every edge, predict its gain and draw heat maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autoplace.agent.steps._active_predictor import load_active_predictor
from autoplace.agent.steps._kinds import read_kinds
from autoplace.agent.steps._open import open_task
from autoplace.agent.steps._predict import predict_gains
from autoplace.agent.steps._probe import probe_task
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._space import search_space
from autoplace.agent.steps._store import open_store
from autoplace.errors import UserError
from autoplace.placement import Edge
from autoplace.probing import SITE_COLUMNS, ProbeTables
from autoplace.report import probe_heat_maps
from autoplace.settings import ProbeCommandSettings
from autoplace.training import TaskSummary
from predictors.vocabulary import LATER_PROBE_TABLES, PROBE_TABLES

SHOWN = ("gradient_rank", "stable_rank", "effective_rank", "frobenius_norm", "snr", "energy_r8")


@dataclass(frozen=True)
class ProbeResult:
    """The probe of a task, with the gain predicted for each single edge.

    Attributes
    ----------
    tables : ProbeTables
        The measured tables of edges, nodes, task and sites.
    edges : DataFrame (n², columns)
        The table of edges with a column `predicted`, best prediction first.
    task : TaskSummary
        The task that was probed.
    predictor : str
        `shipped`, `champion` or a folder.

    Examples
    --------
    >>> from dataclasses import fields
    >>> [field.name for field in fields(ProbeResult)]
    ['tables', 'edges', 'task', 'predictor']
    """

    tables: ProbeTables
    edges: pd.DataFrame
    task: TaskSummary
    predictor: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, with all n² edges, best prediction first, and all sites."""
        edges = [
            {
                "edge": str(Edge(row["source"], row["target"])),
                "kind": row["kind"],
                "predicted": row["predicted"],
                **{name: _number(row[name]) for name in SHOWN},
            }
            for row in self.edges.to_dict(orient="records")
        ]
        measured = self.tables.task.iloc[0].items()
        task = {
            "name": self.task.name,
            "fingerprint": self.task.fingerprint,
            **{str(name): _number(value) for name, value in measured},
        }
        sites = [
            {
                "node": row["node"],
                "map": row["map"],
                **{name: _number(row[name]) for name in SITE_COLUMNS[2:]},
            }
            for row in self.tables.sites.to_dict(orient="records")
        ]
        return {"edges": edges, "sites": sites, "task": task, "predictor": self.predictor}

    def write(self, folder: Path | str) -> Path:
        """Write the tables as Parquet and the heat maps as PNG, and return the folder.

        Raises
        ------
        UserError
            The folder cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in (*PROBE_TABLES, *LATER_PROBE_TABLES):
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

    See `autoplace.probe`.
    """
    read_kinds(settings.adapter)  # a mistake is reported before any image is looked at
    progress = progress or Progress()
    active = load_active_predictor(
        open_store(settings.store, progress, write=False), settings.predictor, progress
    )
    task = open_task(source, settings, progress=progress)
    budget = search_space(task.chain, settings).budget
    tables = probe_task(task, settings, progress).tables
    keys = tables.edges[["source", "target"]].to_numpy().tolist()
    singles = [budget.fit([Edge(i, j)]) for i, j in keys]
    fitting = [placement for placement in singles if placement is not None]
    gains = dict(
        zip(fitting, predict_gains(active.predictor, fitting, tables, task.chain.name), strict=True)
    )
    # An edge where the kind cannot be has no prediction.
    predicted = [np.nan if single is None else gains[single] for single in singles]
    edges = tables.edges.assign(predicted=predicted).sort_values(
        "predicted", ascending=False, kind="stable", ignore_index=True
    )
    return ProbeResult(tables, edges, task.summary, active.origin)


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
