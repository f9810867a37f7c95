"""The steps of a pick without a record, for scripts that look at each of them."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from left_out import predictor_without

from autoplace.agent import Progress, open_task
from autoplace.agent._plan import Plan, make_plan
from autoplace.agent.steps._executor import create_executor
from autoplace.agent.steps._store import open_store
from autoplace.settings import PickSettings
from autoplace.training import Deadline, Job, Outcome, Task, trial_of
from predictors.vocabulary import Role, Status


def plan_pick(name: str, settings: PickSettings) -> tuple[Plan, Task]:
    """Plan a pick on a built-in task with a predictor that has not seen the family.

    The task is returned as well, opened with the images of the measurement split.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/store.db", Progress())
        predictor = str(predictor_without(name, Path(folder) / "predictor"))
        plan = make_plan(
            f"builtin:{name}", replace(settings, predictor=predictor), store, Progress()
        )
    task = open_task(f"builtin:{name}", settings, settings, Progress(), measure=True)
    return plan, task


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
