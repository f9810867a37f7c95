"""Trials whose outcomes are saved are not run again, and all others are saved as they run."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from autoplace.execution._executor import Executor, TrialEvent, TrialStarted
from autoplace.execution._saved_files import SavedTrial, TrialFiles
from autoplace.training import Checkpoint, Epoch, Job, Outcome, Trial, epochs_of, trial_of
from predictors.vocabulary import Status


class SavingExecutor(Executor):
    """Stands in front of another executor, and makes a run that was interrupted continue.

    A trial whose outcome is saved has the events that it had, at once. One that was interrupted
    continues after its last saved epoch, or starts again. An outcome is on disk before it is
    yielded.

    Parameters
    ----------
    executor : Executor
        Runs what is not saved.
    folder : Path
        The folder of the trials' files; it need not exist.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.execution import InProcessExecutor
    >>> from autoplace.placement import Placement
    >>> from autoplace.settings import TrialSettings
    >>> from autoplace.training import Deadline
    >>> task, trial = open_task("builtin:digits"), Trial(Placement(), seed=0)
    >>> inner = InProcessExecutor(task, TrialSettings(epochs=2), Deadline())
    >>> first, second = SavingExecutor(inner, Path("t")), SavingExecutor(inner, Path("t"))
    >>> (*_, outcome), (*_, again) = first.run([trial]), second.run([trial])
    >>> outcome.step_losses == again.step_losses, first.replayed, second.replayed
    (True, 0, 2)
    """

    def __init__(self, executor: Executor, folder: Path) -> None:
        self._executor = executor
        self._files = TrialFiles(folder)
        self._pauses: dict[Trial, dict[int, Outcome]] = {}

    def run(
        self, jobs: Sequence[Job], until: int | None = None
    ) -> Generator[TrialEvent, None, None]:
        """See `Executor.run`."""
        left: list[Job] = []
        before: dict[Trial, list[TrialEvent]] = {}  # events of trials that continue, not yet told
        for job in jobs:
            trial = trial_of(job)
            saved = self._files.read(trial)
            if saved is None:
                left.append(job)
                continue
            self._pauses[trial] = saved.pauses
            answer = _answer(saved, until)
            told = _events(job, answer or saved.outcome)
            self.replayed += sum(isinstance(event, Epoch) for event in told)
            if answer is None:
                left.append(saved.outcome)
                before[trial] = told
            else:
                yield from told
                yield answer
        if not left:
            return
        for event in self._executor.run(left, until):
            yield from before.pop(event.trial, [])
            yield self._saved(event)

    def _saved(self, event: TrialEvent) -> TrialEvent:
        """Save what an event brings."""
        match event:
            case Epoch(paused=Outcome() as paused):
                self._write(paused)
                return replace(event, paused=None)
            case Outcome() if event.is_paused:
                at = len(event.epochs)
                self._pauses.setdefault(event.trial, {})[at] = replace(event, checkpoint=None)
                self._write(event)
            case Outcome(status=Status.DONE | Status.FAILED):
                needed = event.trial.role.needs_weights
                self._write(event if needed else replace(event, state={}))
        return event

    def _write(self, outcome: Outcome) -> None:
        self._files.write(SavedTrial(outcome, self._pauses.get(outcome.trial, {})))


def _answer(saved: SavedTrial, until: int | None) -> Outcome | None:
    """Return the outcome of a trial that runs up to an epoch, if what is saved contains it."""
    outcome = saved.outcome
    done = len(outcome.epochs)
    if until is not None and until in saved.pauses:  # it may have started again since then
        return _pausing(saved.pauses[until], until)
    if until is not None and outcome.is_paused and done == until:
        return outcome
    if outcome.status.is_over:
        if until is None or done < until or (outcome.is_done and done == until):
            return outcome
        return _pausing(outcome, until)
    return _pausing(outcome, until) if until is not None and until < done else None


def _pausing(outcome: Outcome, epoch: int) -> Outcome:
    """Return a trial as it paused after an epoch; what continues it is saved, for a later one."""
    epochs = outcome.epochs[:epoch]
    steps = len(outcome.step_losses) * epoch // max(1, len(outcome.epochs))
    return replace(
        outcome,
        status=Status.RUNNING,
        reason=None,
        epochs=epochs,
        step_losses=outcome.step_losses[:steps],
        state={},
        checkpoint=Checkpoint(steps, {}, {}),
    )


def _events(job: Job, outcome: Outcome) -> list[TrialEvent]:
    """Return what happened to a trial between a job and an outcome."""
    known = epochs_of(job)
    started: list[TrialEvent] = [] if known else [TrialStarted(outcome.trial)]
    return [*started, *outcome.epochs[known:]]
