"""The workers of an invocation: started when they are first needed, and replaced if they die."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autoplace.errors import UserError
from autoplace.execution._ray_connect import connect, count_workers, import_ray
from autoplace.execution._ray_worker import Capacity, TaskOrder, TrialWorker
from autoplace.settings import ExecutorSettings

PATIENCE = 600.0  # seconds in which some worker must start; a cluster may have to add nodes
DEATHS = 3  # of workers in a row that opened no task


@dataclass(eq=False)
class Worker:
    """A worker, as the process that hands out trials sees it.

    Attributes
    ----------
    actor : ActorHandle
        Ray's handle of a `TrialWorker`.
    opening : ObjectRef or None
        The answer to `TrialWorker.open` that is awaited.
    capacity : Capacity or None
        How many trials it takes; None until the task is open.
    """

    actor: Any
    opening: Any = None
    capacity: Capacity | None = None


class WorkerPool:
    """Workers on one machine or on a cluster.

    They end when nothing refers to the pool any more. Several executors, one after the other, may
    use it.

    Parameters
    ----------
    settings : ExecutorSettings
        How many workers, and where.
    on_gpu : bool
        Whether trials run on a GPU.

    Raises
    ------
    UserError
        Ray is not installed, no cluster can be reached, or the workers do not fit.

    Examples
    --------
    >>> from autoplace.settings import ExecutorSettings
    >>> WorkerPool(ExecutorSettings(workers=100_000), on_gpu=False)
    Traceback (most recent call last):
    autoplace.errors.UserError: --workers 100000 needs 100000 CPU cores, and this machine has ...
    """

    def __init__(self, settings: ExecutorSettings, on_gpu: bool) -> None:
        self.cpus = settings.worker_cpus or 1
        self.gpus = float(on_gpu) if settings.worker_gpus is None else settings.worker_gpus
        if connect(settings, self.cpus, self.gpus):
            weakref.finalize(self, import_ray().shutdown)
        self._count = count_workers(settings.workers, self.cpus, self.gpus)
        self._ray = import_ray()
        self._order: TaskOrder | None = None
        self._deaths = 0
        self._waiting_since = time.monotonic()
        self.rounds = 0
        self.workers: list[Worker] = []

    @property
    def device(self) -> str:
        """The device of the workers: a GPU if they have a share of one."""
        return "cuda" if self.gpus else "cpu"

    def open_task(self, order: TaskOrder) -> None:
        """Let every worker open a task; those that are missing are started."""
        self._waiting_since = time.monotonic()
        if order != self._order:
            self._order = order
            for worker in self.workers:
                self._open(worker)
        while len(self.workers) < self._count:
            self._start()

    def ready(self) -> Iterator[Worker]:
        """Those that have opened the task.

        Raises
        ------
        UserError
            A worker cannot open the task, or none starts.
        """
        asked = {worker.opening: worker for worker in self.workers if worker.opening is not None}
        done: list[Any] = []
        if asked:
            done, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0)
        for answer in done:
            worker = asked[answer]
            try:
                worker.capacity, worker.opening = self._ray.get(answer), None
                self._deaths = 0
            except self._ray.exceptions.RayTaskError as error:
                raise cause_of(error) from None
            except self._ray.exceptions.RayError as error:
                self._deaths += 1
                if self._deaths >= DEATHS:
                    raise UserError(
                        f"workers die before they can train: {reason_of(error)}\n"
                        "see that every node has autoplace, and memory for a copy of the backbone"
                    ) from None
                self.replace(worker)
        found = [worker for worker in self.workers if worker.capacity is not None]
        if found:
            self._waiting_since = time.monotonic()
        elif time.monotonic() - self._waiting_since > PATIENCE:
            raise UserError(
                f"no worker has started in {PATIENCE / 60:.0f} minutes; 'ray status' shows what "
                "the cluster is waiting for. Finished trials are kept"
            )
        yield from found

    @property
    def opening(self) -> list[Any]:
        """Answers that are awaited."""
        return [worker.opening for worker in self.workers if worker.opening is not None]

    def replace(self, worker: Worker) -> None:
        """Start another worker in the place of one that is lost."""
        if worker in self.workers:
            self.workers.remove(worker)
            self._ray.kill(worker.actor)  # it may only have been out of reach
            self._start()

    def stop(self, round_number: int) -> None:
        """Let all trials of a round end at their next step."""
        for worker in self.workers:
            if worker.capacity is not None:
                worker.actor.stop.remote(round_number)

    def _start(self) -> None:
        actor = self._ray.remote(TrialWorker).options(
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            max_restarts=0,  # a new one is started instead, which opens the task first
            max_concurrency=self.cpus + 1,  # so that `stop` is heard
            scheduling_strategy="SPREAD",
        )
        worker = Worker(actor.remote(os.getcwd(), self.cpus))
        self.workers.append(worker)
        self._open(worker)

    def _open(self, worker: Worker) -> None:
        assert self._order is not None, "no task was asked for"
        worker.capacity, worker.opening = None, worker.actor.open.remote(self._order)


def cause_of(error: Any) -> BaseException:
    """The exception that was raised in a worker."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error


def reason_of(error: BaseException) -> str:
    """Why a worker was lost, on one line."""
    text = str(error).strip()
    if "error raised in its creation task" in text:  # after it, a traceback
        return text.splitlines()[-1][:200]
    _, found, after = text.partition("The actor is dead because ")
    return (after if found else text).splitlines()[0][:200]
