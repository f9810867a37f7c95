"""What runs in a worker process: a task that is opened once, and its trials."""

from __future__ import annotations

import os
import platform
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch

from autoplace._version import __version__
from autoplace.errors import UserError
from autoplace.execution._executor import TrialEvent
from autoplace.execution._in_process import InProcessExecutor
from autoplace.execution._prepare import prepare_trials
from autoplace.execution._side_by_side import AUTO, count_side_by_side
from autoplace.settings import TrialSettings
from autoplace.training import (
    Deadline,
    DeadlineReachedError,
    Job,
    Task,
    TaskSource,
    Trial,
)


@dataclass(frozen=True)
class TaskOrder:
    """What a worker needs to open a task, and to check that it is the same one.

    Parameters
    ----------
    source : TaskSource
        Data and backbone, by their names.
    fingerprint : str
        Of the task as the process that hands out trials opened it.
    settings : TrialSettings
        How trials are trained.
    version : str
        Of autoplace.
    """

    source: TaskSource
    fingerprint: str
    settings: TrialSettings
    version: str = __version__


@dataclass(frozen=True)
class Capacity:
    """How many trials a worker takes.

    Parameters
    ----------
    calls : int
        Groups of trials that train at a time, each in a thread.
    group : int
        Trials of a group, which train as one population.
    """

    calls: int
    group: int


@dataclass(frozen=True)
class Decoded:
    """What a worker has found out about images since it last said so.

    Parameters
    ----------
    images : list of (str, str, str)
        Split, path and digest of each decoded image.
    bad : list of (str, str)
        Path of each unreadable image, and the reason.
    """

    images: list[tuple[str, str, str]]
    bad: list[tuple[str, str]]


# A text is a note for the user.
Message = TrialEvent | Decoded | str


class TrialWorker:
    """Trains trials of a task in a process of its own; Ray runs it as an actor.

    The task stays open, with its activation cache, until another one is asked for. A worker
    starts no others and knows no store.

    Parameters
    ----------
    folder : str
        Working directory of the process that hands out trials: relative paths start there.
    cpus : int
        Cores on which it computes.
    """

    def __init__(self, folder: str, cpus: int) -> None:
        with suppress(OSError):  # absolute paths do not need it
            os.chdir(folder)
        self._cpus = cpus
        self._order: TaskOrder | None = None
        self._task: Task | None = None
        self._notes: deque[str] = deque()
        self._sent = (0, 0)
        self._round = self._prepared = 0
        self._deadline = Deadline()

    def open(self, order: TaskOrder) -> Capacity:
        """Open a task, unless it is open already.

        Raises
        ------
        UserError
            The task cannot be opened here, or is another one than where trials are handed out.
        """
        if order.version != __version__:
            raise UserError(
                f"{self._host} has autoplace {__version__}, and not {order.version}; "
                "install the same version on every node"
            )
        if self._task is None or order != self._order:
            self._task = self._open(order)
            self._order, self._sent = order, (0, 0)
        return self._capacity(self._task, order.settings)

    def _open(self, order: TaskOrder) -> Task:
        chain, before = None, self._order
        if self._task is not None and before is not None:
            ours, asked = before.source.settings, order.source.settings
            if (ours.backbone, ours.checkpoint) == (asked.backbone, asked.checkpoint):
                chain = self._task.chain
        self._task = None  # its caches are freed before the next one's fill
        try:
            task = order.source.open(chain, notify=self._notes.append)
        except UserError as error:
            raise UserError(
                f"{self._host}: {error}\nevery node needs the same data and weights at the same "
                "paths"
            ) from error
        if task.fingerprint != order.fingerprint:
            raise UserError(
                f"{self._host} has other images or weights for {order.source.data} than this "
                "machine; give every node the same files"
            )
        return task

    def _capacity(self, task: Task, settings: TrialSettings) -> Capacity:
        on_cpu = task.device.type == "cpu"
        asked = settings.parallel_placements
        if on_cpu and asked == AUTO:
            asked = str(self._cpus)
        count = count_side_by_side(asked, task, settings.batch_size, self._notes.append)
        return Capacity(min(count, self._cpus), 1) if on_cpu else Capacity(1, count)

    def run(
        self,
        round_number: int,
        jobs: Sequence[Job],
        until: int | None,
        seconds: float | None,
        together: Sequence[Trial],
    ) -> Iterator[Message]:
        """Train some trials as one population, one alone as ever.

        Parameters
        ----------
        round_number : int
            Which `Executor.run` they belong to; counted upwards.
        jobs : sequence of Trial or Outcome
            See `Executor.run`.
        until : int, optional
            See `Executor.run`.
        seconds : float, optional
            Until the deadline. Not a time of day: clocks of two machines differ.
        together : sequence of Trial
            All trials of the round, whose frozen values are computed together.

        Yields
        ------
        TrialStarted, Epoch, Outcome, Decoded or str
        """
        task, order = self._task, self._order
        assert task is not None and order is not None, "no task is open"
        if task.device.type == "cpu":
            torch.set_num_threads(1)  # of this thread
        deadline = self._deadline_of(round_number).linked(seconds)
        executor = InProcessExecutor(
            task,
            order.settings,
            deadline,
            side_by_side=len(jobs),
            threads=False,
            notify=self._notes.append,
        )
        try:
            if task.device.type == "cpu" and self._prepared != round_number:
                self._prepared = round_number
                prepare_trials(task, together, deadline, self._notes.append)
            for event in executor.run(jobs, until):
                yield from self._news(task)
                yield event
        except DeadlineReachedError:
            pass
        yield from self._news(task)

    def stop(self, round_number: int) -> None:
        """Let the trials of a round end at their next step."""
        self._deadline_of(round_number).stop()

    def _deadline_of(self, round_number: int) -> Deadline:
        if round_number > self._round:
            self._round, self._deadline = round_number, Deadline()
        if round_number == self._round:
            return self._deadline
        over = Deadline()
        over.stop()
        return over

    def _news(self, task: Task) -> Iterator[Decoded | str]:
        with suppress(IndexError):
            while True:
                yield self._notes.popleft()
        # Two threads may send the same images, which does no harm; none are left out.
        n_images, n_bad = self._sent
        images, bad = task.data.record.entries_after(n_images, n_bad)
        if images or bad:
            self._sent = (n_images + len(images), n_bad + len(bad))
            yield Decoded(images, bad)

    @property
    def _host(self) -> str:
        return f"worker on {platform.node()}"
