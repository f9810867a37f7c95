"""What `pick` gives back: the ranking, the winner, and what is known of it on test."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from autoplace.agent._comparison import Interval
from autoplace.placement import Placement


@dataclass(frozen=True)
class Tested:
    """One placement on the test images: its metric for every seed that was trained."""

    placement: Placement
    seeds: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return sum(self.values) / len(self.values)


@dataclass(frozen=True)
class PickResult:
    """The outcome of a pick.

    ranking: one row per trial of the choice, best validation first, with columns `placement`,
    `role`, `chosen_by`, `predicted`, `status`, `val_metric`, `val_loss`, `gain`, `parameters`,
    `seconds`; tested: by role (`winner`, `every-block`, `head-only`); differences: winner minus
    each baseline. `folder` holds the winner as `autoplace.load` reads it.
    """

    run_id: str
    folder: Path
    task: dict[str, Any]
    metric: str
    n_candidates: int
    predictor: str
    winner: Placement
    winner_role: str
    ranking: pd.DataFrame
    tested: dict[str, Tested]
    differences: dict[str, Interval]
    deadline_reached: bool
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; not-a-number becomes null."""
        rows = self.ranking.astype(object).where(self.ranking.notna(), None)
        return {
            "run_id": self.run_id,
            "folder": str(self.folder),
            "task": self.task,
            "metric": self.metric,
            "candidates": self.n_candidates,
            "predictor": self.predictor,
            "winner": str(self.winner),
            "winner_role": self.winner_role,
            "ranking": rows.to_dict(orient="records"),
            "test": {
                role: {
                    "placement": str(tested.placement),
                    "mean": tested.mean,
                    "by_seed": dict(zip(map(str, tested.seeds), tested.values, strict=True)),
                }
                for role, tested in self.tested.items()
            },
            "winner_minus": {role: asdict(each) for role, each in self.differences.items()},
            "deadline_reached": self.deadline_reached,
            "seconds": self.seconds,
        }
