"""Streams of events from several threads, each of which computes on one core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import torch

from autoplace.execution._executor import TrialEvent, TrialStarted
from autoplace.execution._side_by_side import count_cores
from autoplace.training import Deadline, Epoch, Outcome

T = TypeVar("T")
R = TypeVar("R")
Stream = Callable[[Deadline], Iterator[TrialEvent]]


def run_in_threads(
    streams: Sequence[Stream], n_threads: int, deadline: Deadline
) -> Iterator[TrialEvent]:
    """Run streams in threads and yield their events as they come.

    Parameters
    ----------
    streams : sequence of callable
        Each returns an iterator of events that stops when the deadline passes that it is given.
    n_threads : int
        Streams that run at a time; they start in order.
    deadline : Deadline
        When to stop. If the caller stops reading, the running streams stop at their next step.

    Raises
    ------
    BaseException
        Whatever a stream raises; the others are then stopped.
    """
    stop = deadline.linked()
    events: SimpleQueue[TrialEvent | BaseException | None] = SimpleQueue()

    def follow(stream: Stream) -> None:
        try:
            for event in stream(stop):
                events.put(event)
            events.put(None)
        except BaseException as error:
            events.put(error)

    threads_of_torch = torch.get_num_threads()
    pool = ThreadPoolExecutor(n_threads, "trial", initializer=torch.set_num_threads, initargs=(1,))
    try:
        for stream in streams:
            pool.submit(follow, stream)
        open_streams = len(streams)
        while open_streams:
            try:
                event = events.get()
            except KeyboardInterrupt:
                stop.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                yield from _finished(events)
                raise
            if isinstance(event, BaseException):
                raise event
            if event is None:
                open_streams -= 1
            else:
                yield event
    finally:
        stop.stop()
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads_of_torch)


def _finished(events: SimpleQueue[TrialEvent | BaseException | None]) -> Iterator[TrialEvent]:
    """What trials have yielded up to their end, for the record of an interrupted run."""
    while not events.empty():
        event = events.get()
        if isinstance(event, TrialStarted | Epoch | Outcome):
            yield event


def map_side_by_side(
    compute: Callable[[T], R], items: Sequence[T], device: torch.device
) -> list[R]:
    """Compute something of each item, on a CPU in threads of one core each.

    Examples
    --------
    >>> map_side_by_side(lambda number: number + 1, [1, 2, 3], torch.device("cpu"))
    [2, 3, 4]
    """
    cores = count_cores() if device.type == "cpu" else 1
    if cores == 1:
        return [compute(item) for item in items]
    threads_of_torch = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(compute, items))
    finally:
        torch.set_num_threads(threads_of_torch)
