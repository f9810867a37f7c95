"""What a pick would do and about how long it would take; nothing is trained or written."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from autoplace.agent.steps._active_predictor import load_active_predictor
from autoplace.agent.steps._afford import Allowance, Sides
from autoplace.agent.steps._entrants import baselines, those_that_may_win
from autoplace.agent.steps._kinds import read_kinds
from autoplace.agent.steps._open import open_task
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._propose import check_top_k, most_candidates
from autoplace.agent.steps._rate_grid import LEAST, short_epochs
from autoplace.agent.steps._rates import references
from autoplace.agent.steps._space import count_comparisons, search_space
from autoplace.agent.steps._store import open_store
from autoplace.execution import count_side_by_side
from autoplace.model import FullTuning, frozen_features
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import (
    Deadline,
    Task,
    seconds_per_image,
    training_images,
)

TIMED_IMAGES, TIMED_STEPS = 8, 3
PROBE_PASSES = 3.0  # a probe's cost per image, in training steps: 2 passes, products, spectra
LOW, HIGH = 0.7, 1.6  # how far real runs were from the estimate


@dataclass(frozen=True)
class DryRun:
    """What a pick would do.

    Attributes
    ----------
    candidates : int
        Number of placements whose gain would be predicted, at most.
    field, finalists, folds, seeds : int
        Candidates that would race, and what would come of it.
    phases : dict of str to float
        Estimated seconds of each phase.
    estimated_seconds : float
        Their sum, extrapolated from a few images.
    low, high : float
        Bounds that the real time should keep to, in seconds.
    predictor : str
        `shipped`, `champion` or a folder.
    classes : dict of str to dict
        Images of each class in train, val and test.
    notes : list of str
        What was understood: what was recognised or ignored and why, the metric, the store.

    Examples
    --------
    >>> run = DryRun(868, 24, 3, 2, 3, {"race": 60.0}, 60.0, 42.0, 96.0, "shipped", {}, [])
    >>> run.to_dict()["field"]
    24
    """

    candidates: int
    field: int
    finalists: int
    folds: int
    seeds: int
    phases: dict[str, float]
    estimated_seconds: float
    low: float
    high: float
    predictor: str
    classes: dict[str, dict[str, int]]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


class _KeptNotes(Progress):
    """Passes messages on, and keeps the notes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.notes: list[str] = []

    def stage(self, text: str, total: int | None = None) -> None:
        self._progress.stage(text, total)

    def advance(self, text: str = "") -> None:
        self._progress.advance(text)

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._progress.note(text)


def dry_run(source: str, settings: PickSettings, progress: Progress | None = None) -> DryRun:
    """Time a few images and extrapolate; the probe is not run.

    Raises
    ------
    UserError, PredictorError
        Something that the user can fix.

    Examples
    --------
    >>> from autoplace.settings import PickSettings
    >>> plan = dry_run("builtin:digits", PickSettings(top_k=1, probe_images=32))
    >>> plan.finalists, plan.predictor, plan.low < plan.estimated_seconds < plan.high
    (1, 'shipped', True)
    >>> plan.classes["7"], [note for note in plan.notes if note.startswith("metric")]
    ({'train': 80, 'val': 20, 'test': ...}, ['metric: accuracy, on validation images'])
    """
    progress = _KeptNotes(progress or Progress())
    deadline = Deadline.parse(settings.budget)
    read_kinds(settings.adapter)  # a mistake is reported before any image is looked at
    store = open_store(settings.store, progress)
    active = load_active_predictor(store, settings.predictor, progress)
    task = open_task(source, settings, settings, progress, store=store)
    space = search_space(task.chain, settings)
    most = most_candidates(space, task.chain.n_nodes)
    check_top_k(settings.top_k, most)
    if settings.uses_ray:
        progress.note("the estimate is for trials in this process, without workers")
    progress.stage("Timing a few images")
    reading = _seconds_to_read(task)
    side_by_side = count_side_by_side(
        settings.parallel_placements, task, settings.batch_size, progress.note
    )
    compared = baselines(space, settings)
    may_win = those_that_may_win(compared, space)
    step = _seconds_to_train(task, (may_win or compared)[0].placement, side_by_side)
    folds = count_comparisons(task, settings)
    field = max(settings.field_size, settings.top_k)
    allowance = Allowance(field, settings.top_k, folds, settings.seeds)
    training = step * training_images(task, settings)
    sides = Sides.of(task, settings, compared, may_win, space.kinds)
    counts = allowance.by_phase(settings.epochs, sides)
    searched = space.kinds if settings.lr is None else ()
    found = sum(len(references(space, spec, task.chain.n_nodes)) for spec in searched)
    rates = LEAST * short_epochs(settings.epochs) / settings.epochs * found
    n_test = len(task.data.test)
    phases = {
        "probe": settings.images_for(len(task.data.classes))
        * (reading + PROBE_PASSES * step * side_by_side),
        "reading": reading * (len(task.data.fit) + n_test),
        "learning rates": rates * training,
        **{phase: count * training for phase, count in counts.items()},
        "test": n_test * settings.seeds * sides.tested * step * side_by_side / 3,
    }
    total = sum(phases.values())
    if total > deadline.left:
        progress.note("this exceeds --budget: folds, seeds and candidates would be reduced to fit")
    return DryRun(
        most,
        field,
        settings.top_k,
        folds,
        settings.seeds,
        phases,
        total,
        LOW * total,
        HIGH * total,
        active.origin,
        task.data.class_counts(),
        progress.notes,
    )


def _seconds_to_read(task: Task) -> float:
    """Seconds to decode an image and run the frozen backbone on it."""
    rows = np.arange(min(TIMED_IMAGES, len(task.data.train)))
    task.data.train.load(rows)  # the first images cost more
    started = time.perf_counter()
    with torch.inference_mode():
        images = task.data.train.load(rows).images.to(task.device)
        frozen_features(task.chain, task.chain.embed(images))
    return (time.perf_counter() - started) / len(rows)


def _seconds_to_train(task: Task, placement: Placement | FullTuning, side_by_side: int) -> float:
    """Seconds of a training step per image, where so many trials share the cores."""
    threads = torch.get_num_threads()
    alone = task.device.type == "cpu" and side_by_side > 1
    torch.set_num_threads(1 if alone else threads)
    try:
        seconds = seconds_per_image(task, placement, TIMED_IMAGES, TIMED_STEPS)
    finally:
        torch.set_num_threads(threads)
    return float(np.median(seconds)) / (side_by_side if alone else 1)
