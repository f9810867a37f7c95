"""What a pick would do and about how long it would take; nothing is trained or written."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

from autoplace.agent._plan import SEEDS, make_plan
from autoplace.agent._progress import Progress
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.tracking import Store
from autoplace.training import Deadline, Task, seconds_per_step

TIMED_STEPS = 4


@dataclass(frozen=True)
class DryRun:
    """Number of candidates, the trials a pick would run, and an estimate in seconds."""

    candidates: int
    trials: list[str]
    estimated_seconds: float
    predictor: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def dry_run(source: str, settings: PickSettings, progress: Progress | None = None) -> DryRun:
    """Probe, propose and predict as `pick` would, then time a few steps of each chosen placement.

    Raises UserError (of any room) and PredictorError for what the user can mend.
    """
    started = time.perf_counter()
    progress = progress or Progress()
    Deadline.parse(settings.budget)  # what pick would refuse is refused here
    store = Store(settings.store)
    store.check()
    plan = make_plan(source, settings, store, progress)
    requests = plan.requests(settings.seed)
    progress.stage("Timing a few steps", len(requests))
    seconds = {}
    for request in requests:
        seconds[request.placement] = _trial_seconds(plan.task, request.placement, settings)
        progress.advance(str(request.placement))
    # Which placement wins is not known; a repeat costs about what a trial costs on average.
    repeats = 2 * (SEEDS - 1) * sum(seconds.values()) / len(seconds)
    estimate = time.perf_counter() - started + sum(seconds.values()) + repeats
    return DryRun(
        len(plan.candidates),
        [str(request.placement) for request in requests],
        estimate,
        plan.in_charge.origin,
    )


def _trial_seconds(task: Task, placement: Placement, settings: PickSettings) -> float:
    step = seconds_per_step(task, placement, settings, TIMED_STEPS)
    steps = math.ceil(len(task.data.train) / settings.batch_size)
    # Validation runs forward only, about a third of a training step for each image.
    validation = len(task.data.val) / settings.batch_size / 3
    return step * (steps + validation) * settings.epochs
