"""What a pick will do, from DATA to its trials; nothing is trained or written."""

from __future__ import annotations

from dataclasses import dataclass

from autoplace.agent.steps._active_predictor import load_active_predictor
from autoplace.agent.steps._entrants import Entrants, enter
from autoplace.agent.steps._forecast import Forecast, make_forecast, read_forecast
from autoplace.agent.steps._kinds import read_kinds
from autoplace.agent.steps._open import open_task
from autoplace.agent.steps._past import check_unchanged, probe_of
from autoplace.agent.steps._probe import Probe, probe_task
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._propose import Candidate, check_top_k, most_candidates, propose
from autoplace.agent.steps._select import select_field
from autoplace.agent.steps._space import count_comparisons, search_space
from autoplace.settings import PickSettings
from autoplace.tracking import Past, Store
from autoplace.training import Deadline, Task
from predictors.vocabulary import Role


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
    forecast : Forecast
        Predicted gain of each over head-only, and by which predictor.
    entrants : Entrants
        The field of the race, and the baselines.
    """

    task: Task
    probe: Probe
    candidates: list[Candidate]
    forecast: Forecast
    entrants: Entrants


def make_plan(
    source: str,
    settings: PickSettings,
    store: Store,
    progress: Progress,
    deadline: Deadline | None = None,
    past: Past | None = None,
) -> Plan:
    """Open, probe, propose, predict and select.

    A run that is resumed keeps its probe and its forecast.

    Raises
    ------
    UserError, PredictorError
        Something that the user can fix.
    DeadlineReachedError
        The time budget ran out.
    """
    deadline = deadline or Deadline()
    read_kinds(settings.adapter)  # a mistake is reported before any image is looked at
    active = None if past else load_active_predictor(store, settings.predictor, progress)
    task = open_task(source, settings, settings, progress, store=store)
    deadline.check()
    if past is not None:
        check_unchanged(past, task, progress)
    space = search_space(task.chain, settings)
    check_top_k(settings.top_k, most_candidates(space, task.chain.n_nodes))
    count_comparisons(task, settings)  # refused before the probe if it cannot be
    probe = probe_of(past) if past else None
    probe = probe or probe_task(task, settings, progress, deadline)
    candidates = propose(probe.tables, space, settings.seed)
    forecast = read_forecast(past, candidates) if past else None
    if forecast is None:
        active = active or load_active_predictor(store, settings.predictor, progress)
        deadline.check()
        forecast = make_forecast(active, candidates, probe.tables, task.chain.name)
    deadline.check()
    field = select_field(
        candidates,
        forecast.gains,
        [placement for placement in (space.every_block, space.lora) if placement is not None],
        max(settings.field_size, settings.top_k),
        settings.seed,
    )
    gains = {
        candidate.placement: gain if known else float("nan")
        for candidate, gain, known in zip(
            candidates, forecast.gains.tolist(), forecast.known.tolist(), strict=True
        )
    }
    entrants = enter(task.chain, space, field, gains, settings)
    if space.every_block is None:
        progress.note(
            "every-block does not fit the parameter budget, even at rank 1, and is not compared"
        )
    elif not any(trial.role is Role.EVERY_BLOCK for trial in entrants.baselines):
        progress.note("every-block is here the same as LoRA in every block, and is called 'lora'")
    return Plan(task, probe, candidates, forecast, entrants)
