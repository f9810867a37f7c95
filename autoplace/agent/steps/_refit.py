"""The refit: winner and baselines trained anew before test is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from autoplace.agent.steps._rounds import Rounds
from autoplace.training import DeadlineReachedError, Images, Outcome, Trial
from predictors.vocabulary import HEAD_ONLY, Role, Status

WINNER = "winner"
AGAIN = 100  # added to the seed of a training that is run again
ABOVE = 0.05  # nats above head-only's training loss, which may be near zero: rate_seeds.py


def refit(
    rounds: Rounds,
    trials: Mapping[str, Trial],
    seeds: int,
    on_all: bool,
    note: Callable[[str], None],
) -> dict[str, list[Outcome]]:
    """Train the winner and the baselines under several seeds; all are treated alike.

    A training that collapsed (`collapse_limit`) is run once more with another seed, and the one of
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
        fails with every seed is left out.
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
    # A baseline that fails under every seed is left out; otherwise a seed counts if all finished.
    roles = [
        role
        for role in trials
        if role == WINNER or not all(by_role[role] in failed for by_role in wanted)
    ]
    whole = [
        {role: done[by_role[role]] for role in roles}
        for by_role in wanted
        if all(by_role[role] in done for role in roles)
    ]
    _run_collapsed_again(rounds, whole, note)
    return {role: [by_role[role] for by_role in whole] for role in roles}


def training_loss(outcome: Outcome) -> float:
    """Return the mean training loss of the last epoch, in nats."""
    return outcome.epochs[-1].train_loss


def collapse_limit(head_only: Outcome) -> float:
    """Return the training loss above which a training on the same images has collapsed.

    Adapters that do nothing are as good as head-only, so a training that ends clearly above it has
    lost what it had, as happens at high rates. Validation has no part in this, because the refit
    trains on those images.
    """
    return training_loss(head_only) + ABOVE


def _run_collapsed_again(
    rounds: Rounds, by_seed: list[dict[str, Outcome]], note: Callable[[str], None]
) -> None:
    """Replace what collapsed by a training with another seed, where its training loss is lower."""
    again: dict[Trial, tuple[dict[str, Outcome], str]] = {}
    for outcomes in by_seed:
        head_only = next((o for o in outcomes.values() if str(o.placement) == HEAD_ONLY), None)
        limit = math.inf if head_only is None else collapse_limit(head_only)
        for role, outcome in outcomes.items():
            if training_loss(outcome) > limit:
                seed = outcome.trial.seed
                again[replace(outcome.trial, seed=seed + AGAIN)] = outcomes, role
                note(
                    f"the final training of {role} with seed {seed} collapsed (training loss "
                    f"{training_loss(outcome):.3g}, of head-only {limit - ABOVE:.3g}); it is run "
                    f"again with seed {seed + AGAIN}"
                )
    if not again:
        return
    with suppress(DeadlineReachedError):
        rounds.run("Training again what collapsed", list(again))
    for outcome in rounds.ended:
        if outcome.trial in again and outcome.is_done:
            outcomes, role = again[outcome.trial]
            outcomes[role] = min(outcomes[role], outcome, key=training_loss)
