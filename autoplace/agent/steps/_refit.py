"""The refit: winner and baselines trained anew before test is read."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from autoplace.agent.steps._rounds import Rounds
from autoplace.training import DeadlineReachedError, Images, Outcome, Trial
from predictors.vocabulary import Role, Status

WINNER = "winner"


def refit(
    rounds: Rounds, trials: Mapping[str, Trial], seeds: int, on_all: bool
) -> dict[str, list[Outcome]]:
    """Train the winner and the baselines under several seeds; all are treated alike.

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
    whole = [by_role for by_role in wanted if all(by_role[role] in done for role in roles)]
    return {role: [done[by_role[role]] for by_role in whole] for role in roles}
