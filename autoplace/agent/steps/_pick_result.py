"""The result of `pick`: the ranking, the winner and the test figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from autoplace.placement import Placement
from autoplace.training import Interval, TaskSummary
from predictors.vocabulary import Role


@dataclass(frozen=True)
class Tested:
    """One placement on the test images, with its metric for every trained seed.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> Tested(Placement(), seeds=(0, 1), values=(0.5, 0.75)).mean
    0.625
    """

    placement: Placement
    seeds: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Return the mean over seeds."""
        return sum(self.values) / len(self.values)


@dataclass(frozen=True)
class PickResult:
    """The outcome of a pick.

    Attributes
    ----------
    run_id : str
        Id of the parent run in MLflow.
    folder : Path
        Folder of the winner, which `autoplace.load` reads.
    task : TaskSummary
        The task that the backbone was adapted to.
    metric : str
        The metric that decided on validation.
    n_candidates : int
        Number of placements whose gain was predicted.
    predictor : str
        `shipped`, `champion` or a folder.
    winner : Placement
        The best placement on validation.
    winner_role : Role
        Why the winner was trained; a baseline may win.
    ranking : DataFrame (trials, 10)
        One row per placement, best on validation first: `placement`, `role`, `chosen_by`,
        `predicted`, `status`, `val_metric`, `val_loss`, `gain`, `parameters`, `seconds`.
    tested : dict of str to Tested
        By role: `winner`, `every-block`, `head-only`.
    differences : dict of str to Interval
        Winner minus each baseline, on test.
    deadline_reached : bool
        Whether the time budget ran out.
    seconds : float
        Wall time.

    Examples
    --------
    >>> from dataclasses import fields
    >>> [field.name for field in fields(PickResult)][:3]
    ['run_id', 'folder', 'task']
    """

    run_id: str
    folder: Path
    task: TaskSummary
    metric: str
    n_candidates: int
    predictor: str
    winner: Placement
    winner_role: Role
    ranking: pd.DataFrame
    tested: dict[str, Tested]
    differences: dict[str, Interval]
    deadline_reached: bool
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; NaN becomes null."""
        rows = self.ranking.astype(object).where(self.ranking.notna(), None)
        return {
            "run_id": self.run_id,
            "folder": str(self.folder),
            "task": asdict(self.task),
            "metric": self.metric,
            "candidates": self.n_candidates,
            "predictor": self.predictor,
            "winner": str(self.winner),
            "winner_role": str(self.winner_role),
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
