"""Decides, from the outcomes so far, which trials of a pick come next, and which one won."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoplace.training import Outcome, Trial
from predictors.vocabulary import Role

SEEDS = 3  # of the winner and each baseline


@dataclass(frozen=True)
class Round:
    """Trials that can run without knowing one another's outcome."""

    name: str
    trials: Sequence[Trial]


def next_round(outcomes: Sequence[Outcome], metric: str) -> Round | None:
    """Winner and baselines under further seeds, once the choice is made; then nothing.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of all trials so far.
    metric : str
        What validation chooses by.
    """
    winner = choose_winner(outcomes, metric)
    if winner is None or any(outcome.trial.role is Role.REPEAT for outcome in outcomes):
        return None
    baselines = [
        outcome.trial
        for outcome in outcomes
        if outcome.is_done and outcome.trial.role.is_baseline and outcome is not winner
    ]
    # In turn, so that a deadline hits all alike.
    trials = [
        replace(trial, seed=trial.seed + extra, role=Role.REPEAT)
        for extra in range(1, SEEDS)
        for trial in [winner.trial, *baselines]
    ]
    return Round(f"Repeating winner and baselines over {SEEDS} seeds", trials)


def choose_winner(outcomes: Sequence[Outcome], metric: str) -> Outcome | None:
    """Best trial of the choice on validation; ties go to the lower loss, then to the earlier.

    None where no trial finished.
    """
    return max(
        (o for o in outcomes if o.is_done and o.trial.role is not Role.REPEAT),
        key=lambda outcome: (outcome.val.of(metric), -outcome.val.loss),
        default=None,
    )
