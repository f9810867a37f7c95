"""Rounds of trials without a record, for scripts that look at the steps of a pick."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from autoplace.agent import Progress
from autoplace.agent.steps._executor import create_executor
from autoplace.settings import PickSettings
from autoplace.training import Deadline, Job, Outcome, Task, trial_of
from predictors.vocabulary import Role, Status


class Direct:
    """Runs rounds as `Rounds` does, in this process, and writes nothing."""

    seconds_per_epoch = math.nan

    def __init__(self, task: Task, settings: PickSettings) -> None:
        self.metric = task.metric
        self.ended: list[Outcome] = []
        self._executor = create_executor(task, settings, Deadline(), Progress())

    @property
    def head_only(self) -> Outcome | None:
        """The outcome that gains are measured from, once it is known."""
        return next((o for o in self.ended if o.trial.role is Role.HEAD_ONLY and o.is_done), None)

    def run(self, name: str, jobs: Sequence[Job], until: int | None = None) -> list[Outcome]:
        """Run trials and return their outcomes in the order of the jobs."""
        print(f"{name}: {len(jobs)}", flush=True)
        events = self._executor.run(jobs, until)
        outcomes = {event.trial: event for event in events if isinstance(event, Outcome)}
        self.ended += [outcome for outcome in outcomes.values() if not outcome.is_paused]
        return [outcomes[trial_of(job)] for job in jobs]

    def prune(self, paused: Sequence[Outcome]) -> None:
        """End paused trials that do not continue."""
        self.ended += [replace(o, status=Status.PRUNED, checkpoint=None) for o in paused]
