"""The refit: winner and baselines trained anew before test is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autoplace.agent.steps._rounds import Rounds
from autoplace.training import DeadlineReachedError, Images, Outcome, Trial
from predictors.vocabulary import Role

WINNER = "winner"


def refit(
    rounds: Rounds, trials: Mapping[str, Trial], seeds: int, on_all: bool
) -> dict[str, list[Outcome]]:
    """Train the winner and the baselines under several seeds; all sides are treated alike.

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
        One outcome per seed, and as many of each role: if the time budget runs out, only seeds
        that every role has finished. A baseline whose training fails is left out.
    """
    images = Images("all") if on_all else Images()
    what = "training and validation images" if on_all else "training images"
    done: dict[str, list[Outcome]] = {role: [] for role in trials}
    for extra in range(seeds):
        wanted = {
            role: replace(trial, role=Role.REFIT, images=images, seed=trial.seed + extra)
            for role, trial in trials.items()
            if role in done
        }
        try:
            # A baseline may be the winner, and then it is trained once.
            outcomes = rounds.run(
                f"Refitting winner and baselines on {what}, seed {extra + 1} of {seeds}",
                list(dict.fromkeys(wanted.values())),
            )
        except DeadlineReachedError:
            break
        by_trial = {outcome.trial: outcome for outcome in outcomes if outcome.is_done}
        done = {role: [*done[role], by_trial[t]] for role, t in wanted.items() if t in by_trial}
        if WINNER not in done:
            break
    return done
