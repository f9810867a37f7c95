"""What the predictor said of the candidates of a pick, kept for whoever resumes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from autoplace.agent.steps._active_predictor import ActivePredictor
from autoplace.agent.steps._predict import predict_gains
from autoplace.agent.steps._propose import Candidate
from autoplace.agent.steps._record import Record
from autoplace.errors import UserError
from autoplace.probing import ProbeTables
from autoplace.tracking import Past

FORECAST_FILE = "candidates.parquet"
_DECISION = "predictor"


@dataclass(frozen=True)
class Forecast:
    """Predicted gains of candidates.

    Attributes
    ----------
    gains : ndarray (candidates,)
        Predicted gain of each over head-only.
    known : ndarray (candidates,) of bool
        Whether the predictor was trained on all adapter kinds of each.
    predictor : str
        `shipped`, `champion` or a folder.
    """

    gains: np.ndarray
    known: np.ndarray
    predictor: str


def make_forecast(
    active: ActivePredictor, candidates: Sequence[Candidate], tables: ProbeTables, backbone: str
) -> Forecast:
    """Predict the gain of every candidate."""
    placements = [candidate.placement for candidate in candidates]
    return Forecast(
        predict_gains(active.predictor, placements, tables, backbone),
        np.array([active.knows(placement) for placement in placements], dtype=bool),
        active.origin,
    )


def keep_forecast(record: Record, candidates: Sequence[Candidate], forecast: Forecast) -> None:
    """Write the forecast to the run folder: the predictor may be another when it is resumed."""
    folder = record.journal.folder
    if not (folder / FORECAST_FILE).exists():
        table = _table(candidates).assign(predicted=forecast.gains, known=forecast.known)
        table.to_parquet(folder / f"{FORECAST_FILE}.new", index=False)
        (folder / f"{FORECAST_FILE}.new").replace(folder / FORECAST_FILE)
    record.decide(_DECISION, lambda: forecast.predictor)


def read_forecast(past: Past, candidates: Sequence[Candidate]) -> Forecast | None:
    """Read the forecast of a run that is resumed; None if it was not written.

    Raises
    ------
    UserError
        It is about other candidates than this version of autoplace proposes, or damaged.
    """
    origin = past.decision(_DECISION)
    if origin is None:
        return None
    path = past.ledger.path.parent / FORECAST_FILE
    try:
        table = pd.read_parquet(path)
        gains, known = table.pop("predicted"), table.pop("known")
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}; start the pick again") from error
    if not table.equals(_table(candidates)):
        raise UserError(
            f"this version of autoplace proposes other candidates than run {past.run.run_id} has; "
            "resume it with the version that started it, or start it again"
        )
    return Forecast(gains.to_numpy(float), known.to_numpy(bool), str(origin))


def _table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "placement": [str(candidate.placement) for candidate in candidates],
            "chosen_by": [str(candidate.chosen_by) for candidate in candidates],
        }
    )
