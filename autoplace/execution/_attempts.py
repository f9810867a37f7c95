"""Attempts at trials: what fails for a reason that can be cured runs again, as its remedy says."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from autoplace.errors import UserError
from autoplace.settings import TrialSettings
from autoplace.training import (
    Cause,
    Deadline,
    Epoch,
    Job,
    Outcome,
    Remedy,
    Task,
    Trial,
    open_outcome,
    train,
    trial_of,
)
from predictors.vocabulary import Role, Status

LAST_LINES = 3  # of an error, which are kept as the reason
# How torch words it where it has no class for it: on a CPU, on Apple's GPUs, in cuBLAS.
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "alloc_failed")


def attempt(
    task: Task,
    jobs: Sequence[Job],
    settings: TrialSettings,
    deadline: Deadline,
    notify: Callable[[str], None],
    *,
    until: int | None = None,
) -> Iterator[Epoch | Outcome]:
    """Train trials side by side, as `train` does; whatever breaks one of them is its outcome.

    If several cannot run together, for example because memory is short, they run in two halves.
    One that alone is short of memory runs again with each batch in two parts. One whose loss became
    NaN or infinite starts again in float32 at half the rate, unless it is there to find a rate:
    then this is its result. Each remedy is tried once.

    Parameters
    ----------
    task : Task
        Data and backbone.
    jobs : sequence of Trial or Outcome
        As for `train`, with the same remedy.
    settings : TrialSettings
        How to train.
    deadline : Deadline
        Checked between steps.
    notify : callable
        Called with a sentence where trials run again.
    until : int, optional
        Pause after this epoch.

    Yields
    ------
    Epoch or Outcome
        As `train`. A trial that starts again in float32 yields its epochs again.

    Raises
    ------
    UserError
        What the user can fix.
    """
    yield from _attempt(task, jobs, settings, deadline, notify, until, set())


def _attempt(
    task: Task,
    jobs: Sequence[Job],
    settings: TrialSettings,
    deadline: Deadline,
    notify: Callable[[str], None],
    until: int | None,
    seen: set[tuple[Trial, int]],
) -> Iterator[Epoch | Outcome]:
    """See `attempt`; `seen` are epochs that were yielded and are not to be yielded again."""

    def repeat(some: Sequence[Job], seen: set[tuple[Trial, int]]) -> Iterator[Epoch | Outcome]:
        return _attempt(task, some, settings, deadline, notify, until, seen)

    started = time.perf_counter()
    job_of = {trial_of(job): job for job in jobs}
    again: list[Outcome] = []
    try:
        for event in train(task, jobs, settings, until=until, deadline=deadline):
            if isinstance(event, Epoch):
                if (event.trial, event.number) not in seen:
                    seen.add((event.trial, event.number))
                    yield event
            elif (job := with_remedy(task, job_of[event.trial], event)) is not None:
                notify(f"{event.trial}: {event.reason}; running it again {job.remedy}")
                again.append(job)
            else:
                yield _told(event)
    except UserError:
        raise
    except Exception as error:
        reason, cause = last_lines(error), _cause(error)
    else:
        if again:
            yield from repeat(again, set())
        return
    # Outside the `except`: the error holds on to what the trials have in memory.
    if task.device.type == "cuda":
        torch.cuda.empty_cache()
    if len(jobs) > 1:
        first = reason.splitlines()[0]
        notify(f"{len(jobs)} placements side by side: {first}; running them in two halves")
        half = len(jobs) // 2
        yield from repeat(jobs[:half], seen)
        yield from repeat(jobs[half:], seen)
        return
    (last,) = jobs
    outcome = open_outcome(task, last) if isinstance(last, Trial) else last
    failed = replace(
        outcome,
        status=Status.FAILED,
        reason=reason,
        cause=cause,
        checkpoint=None,
        seconds=outcome.seconds + time.perf_counter() - started,
    )
    job = with_remedy(task, last, failed)
    if job is None:
        yield _told(failed)
        return
    notify(f"{failed.trial}: {reason}; running it again {job.remedy}")
    yield from repeat([job], seen)


def with_remedy(task: Task, job: Job, failed: Outcome) -> Outcome | None:
    """Return the job with which a failed trial runs again, or None if nothing is left to try.

    Parameters
    ----------
    task : Task
        Data and backbone.
    job : Trial or Outcome
        What failed, as it was asked for.
    failed : Outcome
        What came of it.

    Returns
    -------
    Outcome or None
        After a lack of memory it continues where the job did. After a divergence it starts again
        from the beginning, so that all of its epochs are alike.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> task, trial = open_task("builtin:digits"), Trial(Placement.parse("20>22"), seed=0)
    >>> failed = replace(
    ...     open_outcome(task, trial), status=Status.FAILED, cause=Cause.DIVERGENCE
    ... )
    >>> print(with_remedy(task, trial, failed).remedy)
    in float32 at 0.5 times the learning rate
    >>> with_remedy(task, replace(trial, role=Role.RATE), failed) is None
    True
    """
    if failed.status is not Status.FAILED or failed.cause is None:
        return None
    remedy = (failed.remedy or Remedy()).after(failed.cause)
    trial = trial_of(job)
    if remedy is None:
        return None
    begun = isinstance(job, Outcome) and bool(job.epochs)
    if failed.cause is Cause.DIVERGENCE:
        if trial.role is Role.RATE:
            return None  # at half the rate it would say nothing of this one
        if begun and trial.role is Role.START:
            return None  # the adapters that it started from are not at hand
    afresh = isinstance(job, Trial) or (begun and failed.cause is Cause.DIVERGENCE)
    outcome = open_outcome(task, trial) if afresh else job
    assert isinstance(outcome, Outcome)
    return replace(outcome, remedy=remedy, seconds=failed.seconds)


def last_lines(error: BaseException) -> str:
    """Return the last lines of an error, and where it was raised.

    Examples
    --------
    >>> try:
    ...     torch.ones(2) @ torch.ones(3)
    ... except RuntimeError as error:
    ...     print(last_lines(error))
    RuntimeError: inconsistent tensor size, ... (in <module>, line ...)
    """
    lines = [line for line in str(error).strip().splitlines() if line.strip()][-LAST_LINES:]
    text = "\n".join([f"{type(error).__name__}: {lines[0] if lines else 'no message'}", *lines[1:]])
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return text
    frame = frames[-1]
    return f"{text} (in {frame.name}, line {frame.lineno} of {Path(frame.filename).name})"


def _told(outcome: Outcome) -> Outcome:
    """Say of an outcome that has failed what was tried."""
    if outcome.status is not Status.FAILED or outcome.remedy is None:
        return outcome
    return replace(outcome, reason=f"{outcome.reason}; it had run again {outcome.remedy}")


def _cause(error: Exception) -> Cause | None:
    """Whether an error is a lack of memory; a loss is no error."""
    words = str(error).lower()
    short = isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(each in words for each in _MEMORY_WORDS)
    )
    return Cause.MEMORY if short else None
