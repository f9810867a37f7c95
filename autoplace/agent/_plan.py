"""What a pick will do, from DATA to its trials; nothing is trained or written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoplace.agent.steps._active_predictor import load_active_predictor
from autoplace.agent.steps._entrants import Entrants, enter
from autoplace.agent.steps._open import open_task
from autoplace.agent.steps._predict import predict_gains
from autoplace.agent.steps._probe import Probe, probe_task
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._propose import Candidate, propose
from autoplace.agent.steps._select import select_field
from autoplace.agent.steps._space import count_comparisons, search_space
from autoplace.settings import PickSettings
from autoplace.tracking import Store
from autoplace.training import Deadline, Task


@dataclass(frozen=True)
class Plan:
    """What a pick will do.

    Attributes
    ----------
    task : Task
        The task to train placements on.
    probe : Probe
        What was measured before any training.
    candidates : list of Candidate
        All proposed candidates.
    predicted : ndarray (candidates,)
        Predicted gain of each over head-only.
    entrants : Entrants
        The field of the race, and the baselines.
    predictor : str
        `shipped`, `champion` or a folder.
    """

    task: Task
    probe: Probe
    candidates: list[Candidate]
    predicted: np.ndarray
    entrants: Entrants
    predictor: str


def make_plan(
    source: str,
    settings: PickSettings,
    store: Store,
    progress: Progress,
    deadline: Deadline | None = None,
) -> Plan:
    """Open, probe, propose, predict and select.

    Raises
    ------
    UserError, PredictorError
        Something that the user can fix.
    DeadlineReachedError
        The time budget ran out.
    """
    active = load_active_predictor(store, settings.predictor, progress)
    task = open_task(source, settings, settings, progress, store=store)
    space = search_space(task.chain, settings, settings.top_k)
    count_comparisons(task, settings)  # refused before the probe if it cannot be
    probe = probe_task(task, settings, progress, deadline)
    candidates = propose(probe.tables, space, settings.seed)
    placements = [candidate.placement for candidate in candidates]
    predicted = predict_gains(active.predictor, placements, probe.tables, task.chain.name)
    field = select_field(
        candidates,
        predicted,
        [placement for placement in (space.every_block, space.lora) if placement is not None],
        max(settings.field_size, settings.top_k),
        settings.seed,
    )
    gains = {
        placement: gain if active.knows(placement) else float("nan")
        for placement, gain in zip(placements, predicted.tolist(), strict=True)
    }
    entrants = enter(task.chain, space, field, gains, settings)
    if space.every_block is None:
        progress.note(
            "every-block does not fit the parameter budget, even at rank 1, and is not compared"
        )
    return Plan(task, probe, candidates, predicted, entrants, active.origin)
