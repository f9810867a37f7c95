"""What a pick would do and how long it would take; nothing is trained or written."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

from autoplace.agent._plan import make_plan
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._schedule import SEEDS
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.tracking import Store
from autoplace.training import Deadline, Task, seconds_per_step

TIMED_STEPS = 4


@dataclass(frozen=True)
class DryRun:
    """What a pick would do.

    Attributes
    ----------
    candidates : int
        Number of placements whose gain was predicted.
    trials : list of str
        Placements that would be fine-tuned.
    estimated_seconds : float
        Estimated time of the whole pick.
    predictor : str
        `shipped`, `champion` or a folder.

    Examples
    --------
    >>> DryRun(868, ["head-only"], 60.0, "shipped").to_dict()["candidates"]
    868
    """

    candidates: int
    trials: list[str]
    estimated_seconds: float
    predictor: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def dry_run(source: str, settings: PickSettings, progress: Progress | None = None) -> DryRun:
    """Plan as `pick` would, then time a few steps of each placement that would be fine-tuned.

    Raises
    ------
    UserError, PredictorError
        Something that the user can fix.

    Examples
    --------
    >>> from autoplace.settings import PickSettings
    >>> settings = PickSettings(top_k=1, probe_images=32)
    >>> plan = dry_run("builtin:digits", settings)
    >>> len(plan.trials), plan.predictor
    (3, 'shipped')
    """
    started = time.perf_counter()
    progress = progress or Progress()
    Deadline.parse(settings.budget)  # a budget that pick would refuse is refused here too
    store = Store(settings.store)
    store.check()
    plan = make_plan(source, settings, store, progress)
    progress.stage("Timing a few steps", len(plan.trials))
    seconds = {}
    for trial in plan.trials:
        seconds[trial.placement] = _trial_seconds(plan.task, trial.placement, settings)
        progress.advance(str(trial.placement))
    # Baselines run again, and the winner, which costs about as much as the average candidate.
    baselines = [seconds[t.placement] for t in plan.trials if t.role.is_baseline]
    total = sum(seconds.values())
    candidate = (total - sum(baselines)) / (len(seconds) - len(baselines))
    repeats = (SEEDS - 1) * (sum(baselines) + candidate)
    estimate = time.perf_counter() - started + total + repeats
    return DryRun(
        len(plan.candidates),
        [str(trial.placement) for trial in plan.trials],
        estimate,
        plan.predictor,
    )


def _trial_seconds(task: Task, placement: Placement, settings: PickSettings) -> float:
    step = seconds_per_step(task, placement, settings, TIMED_STEPS)
    steps = math.ceil(len(task.data.train) / settings.batch_size)
    # Validation runs forward only, about a third of a training step for each image.
    validation = len(task.data.val) / settings.batch_size / 3
    return step * (steps + validation) * settings.epochs
