"""The refit: winner and baselines trained anew before test is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from autoplace.agent.steps._rate_grid import STEP
from autoplace.agent.steps._rounds import Rounds
from autoplace.training import DeadlineReachedError, Images, Outcome, Trial
from predictors.vocabulary import HEAD_ONLY, Role, Status

WINNER = "winner"
COLLAPSE_MARGIN = 0.05  # nats of training loss: docs/fair-trial.md


def refit(
    rounds: Rounds,
    trials: Mapping[str, Trial],
    seeds: int,
    on_all: bool,
    note: Callable[[str], None],
) -> dict[str, list[Outcome]]:
    """Train the winner and the baselines under several seeds; all are treated alike.

    A training that collapsed (`collapse_limit`) is run once more at a lower rate, and the one of
    the two with the lower training loss counts.

    Parameters
    ----------
    rounds : Rounds
        Runs and records the trials.
    trials : mapping of str to Trial
        By role; the winner is called `winner`.
    seeds : int
        Number of trainings of each.
    on_all : bool
        Whether to train on training and validation images together, or on the training images.
    note : callable
        Called with a message for each training that is run again.

    Returns
    -------
    dict of str to list of Outcome
        For each role, one outcome for every seed that all roles finished. A baseline whose training
        fails with every seed is left out, and where no seed would be left, each that fails with
        any.
    """
    images = Images("all") if on_all else Images()
    what = "training and validation images" if on_all else "training images"
    wanted = [
        {
            role: replace(trial, role=Role.REFIT, images=images, seed=trial.seed + extra)
            for role, trial in trials.items()
        }
        for extra in range(seeds)
    ]
    # One round, so that no core waits; one seed of all after another, for the deadline's sake.
    with suppress(DeadlineReachedError):
        rounds.run(
            f"Training winner and baselines on {what}, {seeds} seeds",
            [trial for by_role in wanted for trial in by_role.values()],
        )
    done = {outcome.trial: outcome for outcome in rounds.ended if outcome.is_done}
    failed = {outcome.trial for outcome in rounds.ended if outcome.status is Status.FAILED}
    failures = {role: sum(by_role[role] in failed for by_role in wanted) for role in trials}
    roles, whole = list(trials), []
    # A baseline that fails under every seed is left out; if no seed is whole, each that ever fails.
    for tolerated in (seeds - 1, 0):
        roles = [role for role in trials if role == WINNER or failures[role] <= tolerated]
        whole = [
            {role: done[by_role[role]] for role in roles}
            for by_role in wanted
            if all(by_role[role] in done for role in roles)
        ]
        if whole:
            break
    if any(failures[role] for role in roles):
        note(f"final trainings failed; only {len(whole)} of {seeds} seeds count")
    _replace_collapsed(rounds, whole, note)
    return {role: [by_role[role] for by_role in whole] for role in roles}


def training_loss(outcome: Outcome) -> float:
    """Return the mean training loss of the last epoch, in nats."""
    return outcome.epochs[-1].train_loss


def collapse_limit(head_only: Outcome) -> float:
    """Return the training loss above which a training on the same images has collapsed.

    It is a little above the highest of head-only, which is about that of the head as it was fitted.
    All trainings start there, so one that ends clearly above it has lost what it had, as happens at
    high rates. Validation images have no part in this, because the refit may train on them.
    """
    return max(epoch.train_loss for epoch in head_only.epochs) + COLLAPSE_MARGIN


def lowered(rate: float) -> float:
    """Return the rate half a step below, at which a training that collapsed is run again.

    At its own rate it would mostly collapse again (docs/fair-trial.md).

    Examples
    --------
    >>> lowered(0.032)
    0.018
    """
    return float(f"{rate / math.sqrt(STEP):.3g}")


def collapsed_roles(outcomes: Mapping[str, Outcome]) -> list[str]:
    """Return the roles whose trainings collapsed; none where head-only, the measure, is missing.

    Parameters
    ----------
    outcomes : mapping of str to Outcome
        By role, all of one seed and on the same images.
    """
    head_only = next((o for o in outcomes.values() if str(o.placement) == HEAD_ONLY), None)
    limit = math.inf if head_only is None else collapse_limit(head_only)
    return [role for role, outcome in outcomes.items() if training_loss(outcome) > limit]


def lowered_rates(outcomes: Sequence[Outcome], rate: float) -> dict[int, float]:
    """Return, by seed, the learning rates that are lower than the one that was to be trained at."""
    return {
        outcome.trial.seed: outcome.trial.learning_rate
        for outcome in outcomes
        if outcome.trial.learning_rate < rate
    }


def _replace_collapsed(
    rounds: Rounds, by_seed: list[dict[str, Outcome]], note: Callable[[str], None]
) -> None:
    """Run what collapsed again at a lower rate, and keep the lower training loss of the two."""
    again = {
        _at_lower_rate(outcomes[role].trial): (outcomes, role)
        for outcomes in by_seed
        for role in collapsed_roles(outcomes)
    }
    if not again:
        return
    with suppress(DeadlineReachedError):
        rounds.run("Repeating final trainings that collapsed", list(again))
    ended = {outcome.trial: outcome for outcome in rounds.ended}
    for trial, (outcomes, role) in again.items():
        collapsed, other = outcomes[role], ended.get(trial)
        told = f"the final training of {role} with seed {collapsed.trial.seed} collapsed"
        if other is None or not other.is_done:
            note(f"{told}; a second one did not finish, so the first result counts")
            continue
        outcomes[role] = min(collapsed, other, key=training_loss)
        note(
            f"{told} (training loss {training_loss(collapsed):.3g}); it was repeated at a learning "
            f"rate of {trial.learning_rate:g} (training loss {training_loss(other):.3g}), and the "
            "one with the lower loss counts"
        )


def _at_lower_rate(trial: Trial) -> Trial:
    rates = tuple((kind, lowered(rate)) for kind, rate in trial.rates)
    return replace(trial, learning_rate=lowered(trial.learning_rate), rates=rates)
