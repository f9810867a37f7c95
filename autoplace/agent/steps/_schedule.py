"""Decide from the outcomes so far which trials of a pick run next, and which one won."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoplace.training import Outcome, Trial
from predictors.vocabulary import Role

SEEDS = 3  # for the winner and for each baseline


@dataclass(frozen=True)
class Round:
    """Trials that do not depend on one another's outcome."""

    name: str
    trials: Sequence[Trial]


def next_round(outcomes: Sequence[Outcome], metric: str) -> Round | None:
    """Return the repeats of winner and baselines with more seeds, or None if they have run.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Outcomes of all trials so far.
    metric : str
        The metric that decides on validation.
    """
    winner = choose_winner(outcomes, metric)
    if winner is None or any(outcome.trial.role is Role.REPEAT for outcome in outcomes):
        return None
    baselines = [
        outcome.trial
        for outcome in outcomes
        if outcome.is_done and outcome.trial.role.is_baseline and outcome is not winner
    ]
    # One seed of each in turn, so that a deadline affects all equally.
    trials = [
        replace(trial, seed=trial.seed + extra, role=Role.REPEAT)
        for extra in range(1, SEEDS)
        for trial in [winner.trial, *baselines]
    ]
    return Round(f"Repeating winner and baselines over {SEEDS} seeds", trials)


def choose_winner(outcomes: Sequence[Outcome], metric: str) -> Outcome | None:
    """Return the best first-seed trial on validation; ties go to lower loss, then to the earlier.

    It is None if no trial finished.
    """
    return max(
        (o for o in outcomes if o.is_done and o.trial.role is not Role.REPEAT),
        key=lambda outcome: (outcome.val.of(metric), -outcome.val.loss),
        default=None,
    )
