"""Train a placement anew as `pick` does for the test, with several seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from autoplace.agent.steps._rates import with_rates
from autoplace.agent.steps._refit import (
    COLLAPSE_MARGIN,
    collapse_limit,
    lowered,
    training_loss,
)
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import (
    Images,
    Outcome,
    Task,
    Trial,
    predict_split,
    run_trials,
    score,
    trained_model,
)
from predictors.vocabulary import Role

NEXT_TO_NOTHING = 1e-4  # a rate at which the head stays as it was fitted


def refit_accuracies(
    task: Task,
    placement: Placement,
    rates: Mapping[str, float],
    limits: Mapping[int, float],
    settings: PickSettings,
) -> list[float]:
    """Train on training and validation images with each seed; return the accuracies on test.

    A training that fails is left out. One that collapses is run again at a lower rate, as in
    `pick`. `limits` has the seeds, and what `collapse_limits` returns.
    """
    done = _refit(task, placement, rates, limits, settings)
    collapsed = [seed for seed in done if training_loss(done[seed]) > limits[seed]]
    lower = {kind: lowered(rate) for kind, rate in rates.items()}
    again = _refit(task, placement, lower, collapsed, settings)
    for seed in collapsed:
        pair = [each[seed] for each in (done, again) if seed in each]
        done[seed] = min(pair, key=training_loss)
    return [
        score(*predict_split(task, trained_model(task, outcome), "test")).accuracy
        for outcome in done.values()
    ]


def collapse_limits(
    task: Task, rates: Mapping[str, float], seeds: Iterable[int], settings: PickSettings
) -> dict[int, float]:
    """Train head-only with each seed; return the training losses above which others collapsed."""
    done = _refit(task, Placement(), rates, seeds, settings)
    return {seed: collapse_limit(outcome) for seed, outcome in done.items()}


def fitted_head(task: Task, settings: PickSettings) -> Outcome:
    """Return what the head reaches as it was fitted, on the task's training images."""
    trial = Trial(Placement(), 0, learning_rate=NEXT_TO_NOTHING)
    (outcome,) = run_trials(task, [trial], settings)
    return outcome


def fitted_head_loss(task: Task, settings: PickSettings) -> float:
    """Return the training loss of the head as it was fitted."""
    return training_loss(fitted_head(task, settings))


def has_collapsed(loss: float, head_loss: float) -> bool:
    """Return whether a training with this training loss would be run again."""
    return loss > head_loss + COLLAPSE_MARGIN


def _refit(
    task: Task,
    placement: Placement,
    rates: Mapping[str, float],
    seeds: Iterable[int],
    settings: PickSettings,
) -> dict[int, Outcome]:
    """Train with each seed; return the outcomes that are done, by seed."""
    trial = with_rates(Trial(placement, 0, Role.REFIT, images=Images("all")), rates)
    outcomes = run_trials(task, [replace(trial, seed=seed) for seed in seeds], settings)
    return {outcome.trial.seed: outcome for outcome in outcomes if outcome.is_done}
