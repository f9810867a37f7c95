"""The result of `pick`: the ranking, the winner and the test figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from autoplace.agent.steps._choose import usual_role
from autoplace.agent.steps._race import Rung
from autoplace.agent.steps._rate_grid import RateSearch
from autoplace.placement import Placement
from autoplace.training import Interval, TaskSummary
from predictors.vocabulary import Role


@dataclass(frozen=True)
class Tested:
    """One placement or baseline on the test images, with its metric for every trained seed.

    Attributes
    ----------
    what : str
        Text form of the placement or the tuning; of nearest neighbours, their number.
    seeds : tuple of int
        Seeds of its trainings; empty for what is not trained.
    values : tuple of float
        The metric of each.
    lowered : dict of int to float
        By seed, the learning rate at which a training that had collapsed was repeated.
    collapsed : tuple of int
        Seeds of trainings that count although they collapsed, because none that did not was found.

    Examples
    --------
    >>> Tested("head-only", seeds=(0, 1), values=(0.5, 0.75)).mean
    0.625
    """

    what: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    lowered: dict[int, float] = field(default_factory=dict)
    collapsed: tuple[int, ...] = ()

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
        What was chosen on validation (`agent/steps/_choose.py: order`).
    winner_role : Role
        Why the winner was trained; a baseline may win.
    rates : dict of str to RateSearch
        The learning rate of each kind, and what it was chosen from.
    rungs : list of Rung
        At which epochs candidates dropped out of the race, and how many stayed.
    ranking : DataFrame (trials, 13)
        One row per placement, finalists and baselines by score, the winner first, then what dropped
        out: `placement`, `role`, `chosen_by`, `predicted`, `status`, `epochs`, `folds`, `score`,
        `val_metric`, `val_loss`, `gain`, `parameters`, `seconds`. Metric and loss are means over
        folds; of a candidate that dropped out, they are those of its last epoch.
    tested : dict of str to Tested
        By role: `winner`, `every-block`, `head-only`, `lora`, `k-nearest neighbours`. Empty if the
        time budget ran out before the winner could be tested.
    per_class : DataFrame (classes, 5)
        Precision, recall, F1 and number of test images of each class, for the saved model.
    refitted : bool
        Whether winner and baselines were trained on training and validation images for the test.
    differences : dict of str to Interval
        Winner minus each baseline, on test.
    search_cost, total_cost : float
        Wall time of the search (up to the finalists) and of the whole pick, in trainings of
        every-block for the same number of epochs, alone on this machine.
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
    rates: dict[str, RateSearch]
    rungs: list[Rung]
    ranking: pd.DataFrame
    tested: dict[str, Tested]
    refitted: bool
    differences: dict[str, Interval]
    per_class: pd.DataFrame
    search_cost: float
    total_cost: float
    deadline_reached: bool
    seconds: float

    @property
    def usual(self) -> Role | None:
        """The baseline that wins a close comparison, if it was compared."""
        return usual_role(set(self.ranking.loc[self.ranking["folds"] > 0, "role"]))

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
            "rates": {
                kind: {
                    "rate": found.rate,
                    "source": found.source,
                    "epochs": found.epochs,
                    "tried": {f"{rate:g}": values for rate, values in found.tried.items()},
                }
                for kind, found in self.rates.items()
            },
            "rungs": [asdict(rung) for rung in self.rungs],
            "ranking": rows.to_dict(orient="records"),
            "test": {
                role: {
                    "placement": tested.what,
                    "mean": tested.mean,
                    "by_seed": dict(zip(map(str, tested.seeds), tested.values, strict=False)),
                    "lowered": {str(seed): rate for seed, rate in tested.lowered.items()},
                    "collapsed": list(tested.collapsed),
                }
                for role, tested in self.tested.items()
            },
            "refitted": self.refitted,
            "differences": {role: asdict(each) for role, each in self.differences.items()},
            "per_class": self.per_class.to_dict(orient="records"),
            "search_cost": self.search_cost,
            "total_cost": self.total_cost,
            "deadline_reached": self.deadline_reached,
            "seconds": self.seconds,
        }
