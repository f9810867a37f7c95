"""Read what a finished pick was about: its data, options, winner and learning rates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from autoplace.agent.steps._open import open_task
from autoplace.agent.steps._progress import Progress
from autoplace.errors import UserError
from autoplace.placement import Placement
from autoplace.settings import (
    InputSettings,
    RefineSettings,
    Settings,
    TaskSettings,
    TrialSettings,
    create_settings,
)
from autoplace.tracking import Run, Store, TrackingError, find_run
from autoplace.training import Task

SettingsT = TypeVar("SettingsT", bound=Settings)


@dataclass(frozen=True)
class Picked:
    """A pick, opened again.

    Attributes
    ----------
    run_id : str
        Its run.
    source : str
        Its data.
    task : Task
        Its data and backbone.
    placement : Placement
        Its winner.
    settings : TrialSettings
        How to train.
    rates : dict of str to float
        The peak rate of each of the winner's kinds.
    checkpoint : str or None
        Where the backbone's weights are.
    """

    run_id: str
    source: str
    task: Task
    placement: Placement
    settings: TrialSettings
    rates: dict[str, float]
    checkpoint: str | None


def read_picked(store: Store, run_id: str, settings: RefineSettings, progress: Progress) -> Picked:
    """Open the task of a pick again and read its winner.

    Parameters
    ----------
    store : Store
        The store that holds the run.
    run_id : str
        The run of a pick.
    settings : RefineSettings
        What differs from the pick.
    progress : Progress
        Receives notes about the data.

    Raises
    ------
    UserError
        The run is unknown, is no pick, or has no winner with adapters; or the data is not that of
        the pick.
    """
    run = find_run(store, run_id)
    config, result = _fetch(run, "config.json"), _fetch(run, "result.json")
    if "winner" not in result or "rates" not in result:
        raise _no_winner(run_id)
    placement = Placement.parse(result["winner"])
    if not len(placement):
        raise UserError(
            f"the winner of run {run_id} is head-only, which has no adapters to act on; "
            "give another run"
        )
    rates = _rates(placement, result["rates"], settings.lr, run_id)
    given = {"epochs": settings.epochs, "lr": settings.lr, "checkpoint": settings.checkpoint}
    config |= {name: value for name, value in given.items() if value is not None}
    # Both sides of the comparison are trained to the end.
    config |= {"patience": None}
    source = settings.data or str(config["data"])
    about = _of(TaskSettings, config)
    try:
        task = open_task(source, about, _of(InputSettings, config), progress, store=store)
    except UserError as error:
        if settings.data is not None:
            raise
        raise UserError(f"{error}\nIf the data has moved, give it again with --data.") from error
    if task.fingerprint != result["task"]["fingerprint"]:
        raise UserError(
            f"{source} with backbone '{task.chain.name}' is not what run {run_id} was about; "
            "give the same data with --data"
        )
    return Picked(
        run_id, source, task, placement, _of(TrialSettings, config), rates, about.checkpoint
    )


def _rates(
    placement: Placement, found: Mapping[str, Any], given: float | None, run_id: str
) -> dict[str, float]:
    """Return the rates that the pick gave to the winner's kinds, or the one that is given."""
    kinds = sorted({spec.kind for _, spec in placement})
    if given is not None:
        return dict.fromkeys(kinds, given)
    if not set(kinds) <= set(found):
        raise UserError(
            f"run {run_id} has no learning rate for {placement}; give one with --lr, or another run"
        )
    return {kind: float(found[kind]["rate"]) for kind in kinds}


def _of(kind: type[SettingsT], config: Mapping[str, Any]) -> SettingsT:
    """Settings from the config of a run; options that it does not know have their defaults."""
    return create_settings(
        kind, {each.name: config[each.name] for each in fields(kind) if each.name in config}
    )


def _fetch(run: Run, path: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(run.fetch(path).read_text("utf-8"))
    except (TrackingError, OSError, ValueError) as error:
        raise _no_winner(run.run_id) from error
    return document


def _no_winner(run_id: str) -> UserError:
    return UserError(f"run {run_id} has no winner; give a finished run of 'autoplace pick'")
