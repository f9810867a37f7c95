"""Rounds: run trials that do not depend on one another, and record what comes of them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._record_trials import TrialRecord
from autoplace.execution import Executor
from autoplace.training import (
    Deadline,
    DeadlineReachedError,
    Job,
    Outcome,
    epochs_of,
    trial_of,
)
from predictors.vocabulary import HEAD_ONLY, Role, Status


class Rounds:
    """Runs rounds of trials, one after the other, and keeps their outcomes.

    Parameters
    ----------
    executor : Executor
        Runs the trials.
    trials : TrialRecord
        Records every trial.
    deadline : Deadline
        When to stop.
    metric : str
        The metric that decides on validation.
    progress : Progress
        Notified of every outcome.

    Attributes
    ----------
    metric : str
        As given.
    ended : list of Outcome
        Outcomes of all trials that are over, in the order in which they ended.
    """

    def __init__(
        self,
        executor: Executor,
        trials: TrialRecord,
        deadline: Deadline,
        metric: str,
        progress: Progress,
    ) -> None:
        self._executor = executor
        self._trials = trials
        self._deadline = deadline
        self.metric = metric
        self._progress = progress
        self._epochs = 0
        self._seconds = 0.0
        self.ended: list[Outcome] = []

    @property
    def head_only(self) -> Outcome | None:
        """The outcome that gains are measured from, once it is known."""
        found = (o for o in self.ended if o.trial.role is Role.HEAD_ONLY and o.is_done)
        return next(found, None)

    @property
    def seconds_per_epoch(self) -> float:
        """Wall seconds of an epoch of a trial with adapters so far; NaN before the first."""
        return self._seconds / self._epochs if self._epochs else math.nan

    def run(self, name: str, jobs: Sequence[Job], until: int | None = None) -> list[Outcome]:
        """Run trials and return their outcomes in the order of the jobs.

        Parameters
        ----------
        name : str
            What the user sees.
        jobs : sequence of Trial or Outcome
            A paused outcome continues its trial.
        until : int, optional
            Pause after this epoch.

        Raises
        ------
        DeadlineReachedError
            The time budget ran out before all trials were done, failed or paused. What finished
            is in `ended`.
        """
        self._progress.stage(name, len(jobs))
        order = {trial_of(job): number for number, job in enumerate(jobs)}
        before = {trial_of(job): epochs_of(job) for job in jobs}
        started, replayed = time.perf_counter(), self._executor.replayed
        outcomes = []
        # Closed at once if the caller is interrupted, so that no thread goes on.
        with closing(self._executor.run(jobs, until)) as events:
            for outcome in self._trials.follow(events):
                outcomes.append(outcome)
                if not outcome.is_paused:
                    self._end(outcome)
                self._progress.advance(
                    f"{outcome.trial.role} {outcome.placement}: {self._say(outcome)}"
                )
        if any(str(trial.placement) != HEAD_ONLY for trial in order):
            self._seconds += time.perf_counter() - started
            self._epochs += sum(len(o.epochs) - before[o.trial] for o in outcomes)
            self._epochs -= self._executor.replayed - replayed
        if len(outcomes) < len(jobs) or any(o.status is Status.INTERRUPTED for o in outcomes):
            raise DeadlineReachedError
        return sorted(outcomes, key=lambda outcome: order[outcome.trial])

    def prune(self, paused: Sequence[Outcome]) -> None:
        """End paused trials that do not continue."""
        for outcome in paused:
            self._end(replace(outcome, status=Status.PRUNED, checkpoint=None))

    def _end(self, outcome: Outcome) -> None:
        # What is never tested needs no weights, which may be those of a whole backbone.
        needed = outcome.trial.role.needs_weights
        self.ended.append(outcome if needed else replace(outcome, state={}))
        self._trials.end(outcome, self.head_only)

    def _say(self, outcome: Outcome) -> str:
        if outcome.reason is not None or not outcome.epochs:
            return outcome.reason or str(outcome.status)
        if outcome.epochs[-1].val is None:
            return f"training loss {outcome.epochs[-1].train_loss:.4f}"
        return f"validation {self.metric} {outcome.val.of(self.metric):.4f}"
