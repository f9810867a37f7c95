"""The contest of a pick: all trials of the choice, the winner, then winner and baselines again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoplace.agent._errors import NothingFinishedError
from autoplace.agent._progress import Progress
from autoplace.agent.steps._record import Record
from autoplace.execution import Executor
from autoplace.placement import Placement
from autoplace.training import Outcome, Trial
from predictors.vocabulary import Role

SEEDS = 3  # of the winner and each baseline


@dataclass(frozen=True)
class Contest:
    """What came of the trials of a pick.

    Attributes
    ----------
    choice : list of Outcome
        Of the trials among which validation chose.
    repeats : list of Outcome
        Winner and baselines under further seeds.
    winner : Outcome
        Best on validation, of the first seed.
    is_complete : bool
        False where the time budget ended it early.
    """

    choice: list[Outcome]
    repeats: list[Outcome]
    winner: Outcome
    is_complete: bool

    @property
    def head_only(self) -> Outcome | None:
        """What gains are measured from; None where it did not finish."""
        return _head_only(self.choice)

    def finished(self, placement: Placement) -> list[Outcome]:
        """Finished trials of a placement, one per seed."""
        outcomes = [*self.choice, *self.repeats]
        return [o for o in outcomes if o.is_done and o.placement == placement]


def run_contest(
    executor: Executor, trials: Sequence[Trial], metric: str, record: Record, progress: Progress
) -> Contest:
    """Fine-tune, choose by validation, repeat the winner and the baselines.

    Parameters
    ----------
    executor : Executor
        Runs the trials.
    trials : sequence of Trial
        Baselines and candidates, under one seed.
    metric : str
        What validation chooses by; ties go to the lower loss.
    record : Record
        Told of every trial.
    progress : Progress
        Told of every outcome.

    Raises
    ------
    NothingFinishedError
        No trial finished.
    """
    progress.stage("Fine-tuning", len(trials))
    choice = _run(executor, trials, [], metric, record, progress)
    finished = [outcome for outcome in choice if outcome.is_done]
    if not finished:
        raise NothingFinishedError(choice, deadline_reached=_cut_short(choice, trials))
    winner = max(finished, key=lambda outcome: (outcome.val.of(metric), -outcome.val.loss))
    repeats = _repeats(winner, finished)
    progress.stage(f"Repeating winner and baselines over {SEEDS} seeds", len(repeats))
    again = _run(executor, repeats, choice, metric, record, progress)
    is_complete = not (_cut_short(choice, trials) or _cut_short(again, repeats))
    return Contest(choice, again, winner, is_complete)


def _run(
    executor: Executor,
    trials: Sequence[Trial],
    before: Sequence[Outcome],
    metric: str,
    record: Record,
    progress: Progress,
) -> list[Outcome]:
    """Outcomes of some trials; `before` holds earlier ones of the same contest."""
    outcomes: list[Outcome] = []
    for outcome in executor.run(trials, record):
        outcomes.append(outcome)
        record.end_trial(outcome, _head_only([*before, *outcomes]))
        result = outcome.reason or str(outcome.status)
        if outcome.is_done:
            result = f"validation {metric} {outcome.val.of(metric):.4f}"
        progress.advance(f"{outcome.trial.role} {outcome.placement}: {result}")
    if len(outcomes) < len(trials):
        progress.note("the time budget is used up; continuing with what has finished")
    return outcomes


def _head_only(outcomes: Sequence[Outcome]) -> Outcome | None:
    return next((o for o in outcomes if o.trial.role is Role.HEAD_ONLY and o.is_done), None)


def _cut_short(outcomes: Sequence[Outcome], trials: Sequence[Trial]) -> bool:
    """Whether the deadline interrupted a trial or kept one from starting."""
    ended = [outcome for outcome in outcomes if outcome.is_done or outcome.reason]
    return len(ended) < len(trials)


def _repeats(winner: Outcome, finished: Sequence[Outcome]) -> list[Trial]:
    """Winner and baselines under further seeds, in turn, so that a deadline hits all alike."""
    baselines = [o.trial for o in finished if o.trial.role.is_baseline and o is not winner]
    return [
        replace(trial, seed=trial.seed + extra, role=Role.REPEAT)
        for extra in range(1, SEEDS)
        for trial in [winner.trial, *baselines]
    ]
