"""The result of `merge`, and the card of the merged model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoplace.agent.steps._pick_result import Tested
from autoplace.agent.steps._rate_grid import RateSearch
from autoplace.placement import Placement
from autoplace.training import Interval, TaskSummary


@dataclass(frozen=True)
class MergeResult:
    """What came of a merge.

    Attributes
    ----------
    run_id : str
        Id of the run in MLflow.
    folder : Path
        Folder of the fine-tuned merged model, which `autoplace.load` reads.
    task : TaskSummary
        The task that it was fine-tuned on.
    metric : str
        The metric of all figures.
    runs : tuple of str
        The runs that were merged, as given.
    placement : Placement
        The placement of the merged adapters.
    method, cost, solver : str
        How they were merged.
    shots, images : int
        Training images of each class (0 for all), and in all.
    rates : dict of str to RateSearch
        The learning rate of each start, and what it was chosen from.
    validation : dict of str to float
        Mean metric over seeds on validation, by start.
    tested : dict of str to Tested
        The same on test, for every seed. The start that was merged is called by its method.
    differences : dict of str to Interval
        The merged start minus each of the others, on test.
    seconds : float
        Wall time.

    Examples
    --------
    >>> from dataclasses import fields
    >>> [field.name for field in fields(MergeResult)][:4]
    ['run_id', 'folder', 'task', 'metric']
    """

    run_id: str
    folder: Path
    task: TaskSummary
    metric: str
    runs: tuple[str, ...]
    placement: Placement
    method: str
    cost: str
    solver: str
    shots: int
    images: int
    rates: dict[str, RateSearch]
    validation: dict[str, float]
    tested: dict[str, Tested]
    differences: dict[str, Interval]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "run_id": self.run_id,
            "folder": str(self.folder),
            "task": asdict(self.task),
            "metric": self.metric,
            "runs": list(self.runs),
            "placement": str(self.placement),
            "method": self.method,
            "cost": self.cost,
            "solver": self.solver,
            "shots": self.shots,
            "images": self.images,
            "starts": {
                name: {
                    "placement": tested.what,
                    "learning_rate": self.rates[name].rate,
                    "validation": self.validation[name],
                    "test": tested.mean,
                    "by_seed": dict(zip(map(str, tested.seeds), tested.values, strict=True)),
                }
                for name, tested in self.tested.items()
            },
            "differences": {name: asdict(each) for name, each in self.differences.items()},
            "seconds": self.seconds,
        }


def merge_card(result: MergeResult) -> str:
    """Write Markdown that says what was merged, how, and what it is compared with."""
    lines = [
        f"# {result.task.backbone} with merged adapters, fine-tuned on {result.task.name}",
        "",
        f"Placement `{result.placement}`. Adapters of {len(result.runs)} runs were merged by "
        f"{result.method} in the style of MerA",
        f"(arXiv 2308.15982; cost: {result.cost}, solver: {result.solver}):",
        *(f"`{run}`" for run in result.runs),
        "",
        f"Then adapters and a new head were fine-tuned on {result.images} training images.",
        "",
        f"| start | {result.metric}, validation | {result.metric}, test | seeds |",
        "|---|---|---|---|",
        *(
            f"| {name} | {result.validation[name]:.4f} | {tested.mean:.4f} | {len(tested.seeds)} |"
            for name, tested in result.tested.items()
        ),
        "",
        "Every start had the same images and epochs, and a learning rate found in the same way.",
        "The stored model is that of the first seed. The backbone's weights are not stored here.",
        "",
    ]
    return "\n".join(lines)
