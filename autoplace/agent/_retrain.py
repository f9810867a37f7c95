"""`autoplace retrain`: train the next predictor on all records; promote it only if better."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import predictors
from autoplace.agent.steps._active_predictor import load_active_predictor
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._store import open_store
from autoplace.agent.steps._training_rows import read_learnable, training_set
from autoplace.errors import UserError
from autoplace.settings import StoreSettings
from autoplace.tracking import PREDICTOR_EXPERIMENT, Store, promote, push_unsent, register_version
from predictors.vocabulary import HEAD_ONLY

OLD_PROTOCOL = "their learning rate is from a table, and others have a rate found on their task"


@dataclass(frozen=True)
class RetrainResult:
    """The result of a retrain.

    Attributes
    ----------
    rows, new_rows : int
        Number of placements learnt from, and how many of them are new to the present predictor.
    set_aside : dict of str to int
        Finished trials that were not used, by reason.
    families : tuple of str
        Families of the tasks learnt from.
    decision : predictors.GateDecision
        Whether the challenger was promoted, why, and the scores.
    version : int or None
        Version of the registered predictor, if it was promoted.

    Examples
    --------
    >>> from dataclasses import fields
    >>> [field.name for field in fields(RetrainResult)][:3]
    ['rows', 'new_rows', 'set_aside']
    """

    rows: int
    new_rows: int
    set_aside: dict[str, int]
    families: tuple[str, ...]
    decision: predictors.GateDecision
    version: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; NaN becomes null."""
        table = self.decision.scores.reset_index().astype(object)
        return {
            "rows": self.rows,
            "new_rows": self.new_rows,
            "set_aside": sum(self.set_aside.values()),
            "set_aside_reasons": self.set_aside,
            "families": list(self.families),
            "scores": table.where(table.notna(), None).to_dict(orient="records"),
            "promoted": self.decision.promoted,
            "difference": _finite(self.decision.difference),
            "interval": [_finite(self.decision.low), _finite(self.decision.high)],
            "version": self.version,
            "reason": self.decision.reason,
        }


def retrain(settings: StoreSettings, progress: Progress | None = None) -> RetrainResult:
    """Train a challenger on the present predictor's rows and the store's records; gate it.

    See `autoplace.retrain`.

    `predictors.gate` decides. If the champion has another feature schema, the shipped predictor
    takes its place, and the rows are rebuilt from the store's own records and probes. Once there
    are trials whose learning rate was found on the task, those with a rate from a table are set
    aside, also those that the present predictor has learnt from.

    Raises
    ------
    UserError
        The records contain nothing new.
    PredictorError
        There are too few families to compare predictors.
    """
    progress = progress or Progress()
    store = open_store(settings.store, progress)
    store.require_experiment(PREDICTOR_EXPERIMENT)
    progress.stage("Reading the records")
    pushed = push_unsent(store, progress.note)
    if pushed:
        progress.note(
            f"{len(pushed)} runs that MLflow had missed were sent to it from their ledgers"
        )
    present = predictors.load_training_set(load_active_predictor(store, progress=progress).folder)
    learnable = read_learnable(store)
    if not (learnable.log["placement"] != HEAD_ONLY).any():
        raise UserError(
            f"{store.address} has no finished trials to learn from; "
            "run 'autoplace collect' or 'autoplace pick' first"
        )
    both = present.union(training_set(learnable.log, learnable.probes.__getitem__))
    everything = both.fair()
    set_aside = dict(learnable.set_aside)
    if len(everything) < len(both):
        set_aside[OLD_PROTOCOL] = int(both.counts.sum() - everything.counts.sum())
    for reason, count in set_aside.items():
        progress.note(f"{count} finished trials set aside: {reason}")
    known = present.select(np.isin(present.protocols.astype(str), everything.protocols.astype(str)))
    new_rows = len(everything) - len(known)
    unchanged = len(known) == len(present) and not new_rows
    if unchanged and np.allclose(everything.y, known.y, rtol=0, atol=1e-12):
        raise UserError(
            "the present predictor has already learnt from every recorded trial; "
            "run 'autoplace collect' first"
        )
    progress.stage("Comparing on left-out families")
    decision = predictors.gate(present, everything)
    version = _promote(store, everything, decision.scores) if decision.promoted else None
    families = tuple(sorted(set(everything.families)))
    return RetrainResult(len(everything), new_rows, set_aside, families, decision, version)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _promote(store: Store, data: predictors.TrainingSet, scores: pd.DataFrame) -> int:
    """Fit a predictor on all rows, register it as the champion and return its version."""
    predictor = predictors.create_predictor("lightgbm").fit(data.X, data.y, data.groups)
    with tempfile.TemporaryDirectory(prefix="autoplace-") as temporary:
        folder = predictors.save_predictor(
            predictor,
            Path(temporary) / "predictor",
            predictors.predictor_card(data, scores),
            data,
        )
        version = register_version(store, folder, {"rows": len(data)})
    promote(store, version)
    return version
