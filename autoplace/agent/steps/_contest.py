"""The contest of a pick: run rounds of trials; each round decides the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoplace.agent.steps._errors import NothingFinishedError
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._record_trials import TrialRecord
from autoplace.agent.steps._schedule import Round, choose_winner, next_round
from autoplace.execution import Executor
from autoplace.training import Outcome, Trial
from predictors.vocabulary import Role


@dataclass(frozen=True)
class Contest:
    """The results of the trials of a pick.

    Attributes
    ----------
    outcomes : list of Outcome
        Outcomes of all trials that were started, the repeats last.
    winner : Outcome
        The best outcome on validation, for the first seed.
    head_only : Outcome or None
        The outcome that gains are measured from; None if head-only did not finish.
    is_complete : bool
        False if the time budget ran out.
    """

    outcomes: list[Outcome]
    winner: Outcome
    head_only: Outcome | None
    is_complete: bool


def run_contest(
    executor: Executor,
    planned: Sequence[Trial],
    metric: str,
    trials: TrialRecord,
    progress: Progress,
) -> Contest:
    """Fine-tune placements, choose by validation, and repeat the winner and the baselines.

    Parameters
    ----------
    executor : Executor
        Runs the trials.
    planned : sequence of Trial
        Baselines and candidates, all with one seed.
    metric : str
        The metric that decides on validation.
    trials : TrialRecord
        Records every trial.
    progress : Progress
        Notified of every outcome.

    Raises
    ------
    NothingFinishedError
        No trial finished.
    """
    outcomes: list[Outcome] = []
    head_only: Outcome | None = None
    is_complete = True
    current: Round | None = Round("Fine-tuning", planned)
    while current is not None:
        progress.stage(current.name, len(current.trials))
        ended = 0
        events = executor.run(current.trials)
        for outcome in trials.follow(events):
            outcomes.append(outcome)
            result = outcome.reason or str(outcome.status)
            if outcome.is_done:
                result = f"validation {metric} {outcome.val.of(metric):.4f}"
                if outcome.trial.role is Role.HEAD_ONLY:
                    head_only = outcome
            trials.end(outcome, head_only)
            progress.advance(f"{outcome.trial.role} {outcome.placement}: {result}")
            ended += outcome.is_done or outcome.reason is not None
        if ended < len(current.trials):
            is_complete = False
            progress.note("the time budget ran out; continuing with the finished trials")
            break
        current = next_round(outcomes, metric)
    winner = choose_winner(outcomes, metric)
    if winner is None:
        raise NothingFinishedError(outcomes, deadline_reached=not is_complete)
    return Contest(outcomes, winner, head_only, is_complete)
