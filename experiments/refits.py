"""Train a placement anew as `pick` does for the test, with several seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from autoplace.agent.steps._rates import with_rates
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import Images, Task, Trial, predict_split, run_trials, score, trained_model
from predictors.vocabulary import Role


def refit_accuracies(
    task: Task,
    placement: Placement,
    rates: Mapping[str, float],
    seeds: Iterable[int],
    settings: PickSettings,
) -> list[float]:
    """Train on training and validation images with each seed; return the accuracies on test.

    A training that fails is left out.
    """
    trial = with_rates(Trial(placement, 0, Role.REFIT, images=Images("all")), rates)
    outcomes = run_trials(task, [replace(trial, seed=seed) for seed in seeds], settings)
    return [
        score(*predict_split(task, trained_model(task, outcome), "test")).accuracy
        for outcome in outcomes
        if outcome.is_done
    ]
