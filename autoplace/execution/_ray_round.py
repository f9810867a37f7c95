"""One round of trials on workers: hand them out, follow them, try again what is lost."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autoplace.execution._executor import TrialEvent, TrialStarted
from autoplace.execution._groups import groups
from autoplace.execution._ray_connect import import_ray
from autoplace.execution._ray_pool import Worker, WorkerPool, cause_of, reason_of
from autoplace.execution._ray_worker import Decoded
from autoplace.training import (
    Deadline,
    Epoch,
    Job,
    Outcome,
    Task,
    Trial,
    open_outcome,
    trial_of,
)
from predictors.vocabulary import Status

POLL = 1.0  # seconds after which the deadline is looked at
LINGER = 10.0  # seconds in which an interrupted round can end its steps
TRIES = 2  # of a trial whose worker is lost


@dataclass(eq=False)
class _Call:
    """Trials that a worker trains, and the stream of what happens to them."""

    worker: Worker
    jobs: list[Job]
    stream: Any


class RayRound:
    """The trials of one `Executor.run` on workers.

    Parameters
    ----------
    pool : WorkerPool
        Has been asked to open the task.
    task : Task
        The task, as this process opened it.
    jobs : sequence of Trial or Outcome
        See `Executor.run`.
    until : int, optional
        See `Executor.run`.
    deadline : Deadline
        When to stop.
    notify : callable
        Called with notes of the workers.
    """

    def __init__(
        self,
        pool: WorkerPool,
        task: Task,
        jobs: Sequence[Job],
        until: int | None,
        deadline: Deadline,
        notify: Callable[[str], None],
    ) -> None:
        self._ray = import_ray()
        self._pool = pool
        self._task = task
        self._until = until
        self._deadline = deadline
        self._notify = notify
        pool.rounds += 1
        self._number = pool.rounds
        self._left = list(jobs)
        self._together = self._ray.put([trial_of(job) for job in jobs])
        self._calls: list[_Call] = []
        self._tries = {trial_of(job): 0 for job in jobs}
        self._started = {trial_of(job) for job in jobs if isinstance(job, Outcome) and job.epochs}
        self._over: set[Trial] = set()
        self._latest: dict[Trial, Job] = {trial_of(job): job for job in jobs}
        # Epochs since the latest state, which a trial that runs again from there repeats.
        self._yielded: Counter[Trial] = Counter()
        self._repeats: Counter[Trial] = Counter()

    def events(self) -> Iterator[TrialEvent]:
        """See `Executor.run`."""
        try:
            while True:
                if self._deadline.passed:
                    self._left.clear()
                    self._pool.stop(self._number)
                else:
                    self._hand_out()
                if not self._left and not self._calls:
                    return
                yield from self._wait(POLL)
        except KeyboardInterrupt:
            yield from self._linger()
            raise
        finally:
            self._pool.stop(self._number)

    def _hand_out(self) -> None:
        """Give trials to workers that have room for them."""
        for worker in self._pool.ready():
            capacity = worker.capacity
            assert capacity is not None
            while self._left and self._room(worker) > 0:
                jobs = next(groups(self._left, capacity.group))
                del self._left[: len(jobs)]
                left = self._deadline.left
                stream = worker.actor.run.options(num_returns="streaming").remote(
                    self._number,
                    jobs,
                    self._until,
                    None if math.isinf(left) else left,
                    self._together,
                )
                self._calls.append(_Call(worker, jobs, stream))

    def _room(self, worker: Worker) -> int:
        assert worker.capacity is not None
        return worker.capacity.calls - sum(call.worker is worker for call in self._calls)

    def _wait(self, seconds: float) -> Iterator[TrialEvent]:
        """Follow what is there, or wait for it."""
        streams = {call.stream: call for call in self._calls}
        awaited = [*streams, *(self._pool.opening if self._left else [])]
        if not awaited:
            time.sleep(seconds)
            return
        ready, _ = self._ray.wait(awaited, num_returns=1, timeout=seconds, fetch_local=True)
        for each in ready:
            if each in streams:
                yield from self._follow(streams[each])

    def _follow(self, call: _Call) -> Iterator[TrialEvent]:
        try:
            message = self._ray.get(next(call.stream))
        except StopIteration:
            self._calls.remove(call)
            return
        except self._ray.exceptions.RayTaskError as error:
            raise cause_of(error) from None
        except self._ray.exceptions.RayError as error:
            self._calls.remove(call)
            self._pool.replace(call.worker)
            yield from self._lost(call, reason_of(error))
            return
        match message:
            case str():
                self._notify(message)
            case Decoded(images, bad):
                self._learn(images, bad)
            case TrialStarted(trial):
                yield from self._start(trial)
            case Epoch(trial):
                if self._repeats[trial]:
                    self._repeats[trial] -= 1
                else:
                    self._yielded[trial] += 1
                    if message.paused is not None:
                        self._latest[trial], self._yielded[trial] = message.paused, 0
                    yield message
            case Outcome():
                self._over.add(message.trial)
                yield message

    def _lost(self, call: _Call, reason: str) -> Iterator[TrialEvent]:
        """Queue the trials of a lost worker again, from what is known of them, or end them."""
        for job in call.jobs:
            trial = trial_of(job)
            if trial in self._over:
                continue
            self._tries[trial] += 1
            if self._deadline.passed:
                if trial in self._started:
                    yield self._ended(job, Status.INTERRUPTED, None)
            elif self._tries[trial] < TRIES:
                self._left.insert(0, self._latest[trial])
                self._repeats[trial] = self._yielded[trial]
                self._notify(f"a worker was lost ({reason}); its trial runs again: {trial}")
            else:
                yield from self._start(trial)
                yield self._ended(job, Status.FAILED, f"its worker was lost twice: {reason}")

    def _start(self, trial: Trial) -> Iterator[TrialStarted]:
        if trial not in self._started:
            self._started.add(trial)
            yield TrialStarted(trial)

    def _ended(self, job: Job, status: Status, reason: str | None) -> Outcome:
        self._over.add(trial_of(job))
        outcome = open_outcome(self._task, job) if isinstance(job, Trial) else job
        return replace(outcome, status=status, reason=reason, checkpoint=None)

    def _learn(self, images: list[tuple[str, str, str]], bad: list[tuple[str, str]]) -> None:
        """Record what workers found out about images, as if they had been decoded here."""
        record = self._task.data.record
        for split, path, digest in images:
            record.add_image(split, path, digest)
        for path, reason in bad:
            record.add_bad(path, reason)

    def _linger(self) -> Iterator[TrialEvent]:
        """Stop, and follow trials to their end for the record of an interrupted run."""
        self._pool.stop(self._number)
        self._left.clear()
        end = time.monotonic() + LINGER
        while self._calls and (seconds := end - time.monotonic()) > 0:
            yield from self._wait(min(seconds, POLL))
