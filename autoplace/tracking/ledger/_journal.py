"""The record of one invocation: the ledger first, then MLflow for as long as it answers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from autoplace.tracking._error import TrackingError, WriteError
from autoplace.tracking.ledger._closing import close_tagged, close_trials
from autoplace.tracking.ledger._connection import Connection
from autoplace.tracking.ledger._earlier import EarlierTrials
from autoplace.tracking.ledger._events import (
    RUN_STATUS,
    DecisionEvent,
    Event,
    FinishEvent,
    ProbeEvent,
    ResumeEvent,
    RunEvent,
    TrialChange,
    UnsentEvent,
)
from autoplace.tracking.ledger._ledger import LEDGER_FILE, Ledger, milliseconds
from autoplace.tracking.ledger._lock import hold
from autoplace.tracking.ledger._past import Past
from autoplace.tracking.ledger._probe_files import write_probe
from autoplace.tracking.ledger._push import INVOCATION_TAG
from autoplace.tracking.ledger._reserve import free_reserve, take_reserve
from autoplace.tracking.store import (
    TRIAL_TAG,
    Point,
    Run,
    RunStatus,
    Store,
    log_probe,
    start_run,
)
from predictors.vocabulary import Status

if TYPE_CHECKING:
    import pandas as pd

BATCH_SECONDS = 10.0  # one request per epoch would take a large part of a short trial


class Journal:
    """Record of an invocation: every change of state is on disk before MLflow is told.

    The store must be usable when an invocation starts. If it fails later, only the ledger is
    written until the store answers again, which is tried from time to time and at the end; then it
    is sent what it missed. If it does not come back, `push_unsent` does that another day. If the
    ledger itself cannot be written, the first failure is raised; what follows, which can only be
    the end of the invocation, is recorded as far as possible.

    Parameters
    ----------
    store : Store
        The store that the invocation's run goes to.
    task_name, run_name : str
        Names of the task (for the experiment) and of the run.
    params, tags : mapping
        What MLflow shows of the run.
    on_loss : callable
        Called with a message if MLflow is lost, and when it is back.
    rest : sequence of str, default=()
        Data that the command goes on with after this run, for whoever resumes it.

    Attributes
    ----------
    run : Run
        The parent run.
    invocation : str
        A unique name of the invocation; a resumed one keeps it.
    earlier : EarlierTrials
        Of a run that is resumed, the trials that it had before.
    folder : Path
        The run folder, `<store folder>/runs/<run id>`.

    Raises
    ------
    TrackingError
        The store cannot be used, or the ledger cannot be written.

    Examples
    --------
    >>> from autoplace.tracking import Store, read_rows
    >>> store = Store()
    >>> journal = Journal(store, "digits", "pick digits", {"seed": 0}, {}, on_loss=print)
    >>> journal.start_trial("a", "head-only (seed 0)", {"seed": 0}, {})
    >>> journal.log_epoch("a", 1, {"val_accuracy": 0.91})
    >>> row = {"trial_id": "a", "status": "done", "val_metric": 0.91}
    >>> journal.end_trial("a", Status.DONE, row, {"seconds": 3.5})
    >>> journal.finish("FINISHED")
    >>> read_rows(store) == [row]
    True
    """

    def __init__(
        self,
        store: Store,
        task_name: str,
        run_name: str,
        params: Mapping[str, object],
        tags: Mapping[str, object],
        on_loss: Callable[[str], None],
        rest: Sequence[str] = (),
    ) -> None:
        self._begin(store, on_loss)
        self.invocation = uuid.uuid4().hex
        full_tags = {INVOCATION_TAG: self.invocation, **tags}
        try:
            self.run: Run = start_run(store, task_name, run_name, params, full_tags)
            self.folder: Path = store.run_folder(self.run.run_id)
            self._lock = hold(self.folder)
            self._ledger = Ledger(self.folder / LEDGER_FILE)
            names = task_name, run_name
            self._ledger.append(
                RunEvent(self.invocation, self.run.run_id, *names, params, full_tags, rest)
            )
            self._reserve = take_reserve(self.folder)
        except BaseException as error:
            with suppress(TrackingError):
                status: RunStatus = "FAILED" if isinstance(error, Exception) else "KILLED"
                close_tagged(store, INVOCATION_TAG, self.invocation, status)
            raise

    @classmethod
    def resume(cls, past: Past, on_loss: Callable[[str], None]) -> Self:
        """Continue the record of a run that was interrupted: the same runs, nothing twice.

        Trials that were at work end as interrupted; `start_trial` opens them again.
        """
        self = cls.__new__(cls)
        self._begin(past.run.store, on_loss)
        self.invocation = past.start.invocation
        self.run, self._ledger, self._lock = past.run, past.ledger, past.lock
        self.folder = past.ledger.path.parent
        self._reserve = take_reserve(self.folder)
        self.earlier = EarlierTrials.of(past)
        self._ended = self.earlier.ended
        self._append(ResumeEvent())
        try:
            for trial_id in self.earlier.running:
                self._append(TrialChange(trial_id, Status.INTERRUPTED))
            close_trials(self.run, self._ended, "KILLED")
            self.run.reopen()
        except BaseException:
            self.finish("KILLED")
            raise
        return self

    def _begin(self, store: Store, on_loss: Callable[[str], None]) -> None:
        self._on_loss = on_loss
        self._connection = Connection(store, on_loss)
        self._failed = False  # the ledger
        self._children: dict[str, Run] = {}
        self._ended: dict[str, Status] = {}  # outcomes that the ledger holds, by trial
        self._waiting: dict[str, list[Point]] = {}  # epochs by trial
        self._held: dict[str, set[tuple[int, float]]] = {}  # those that MLflow has from before
        self._sent = time.monotonic()
        self.earlier = EarlierTrials()

    def tell(self, write: Callable[[Run], Any]) -> None:
        """Write to the parent run, e.g. `journal.tell(lambda run: run.log_json(...))`."""
        if not self._try(lambda: write(self.run), in_ledger=False):
            self._connection.missed.append(write)

    def record_probe(self, key: str, tables: Mapping[str, pd.DataFrame]) -> None:
        """Keep the probe's tables in the run folder and in MLflow; `fetch_probe` finds them."""
        write_probe(self.folder, tables)
        self._append(ProbeEvent(key))
        self._try(lambda: log_probe(self.run, key, tables))

    def record_decision(self, name: str, value: object) -> None:
        """Record what was decided, as JSON, for whoever resumes the run."""
        self._append(DecisionEvent(name, value))

    def start_trial(
        self, trial_id: str, name: str, params: Mapping[str, object], tags: Mapping[str, object]
    ) -> None:
        """Record that a trial starts; one that had ended before a resume stays as it is."""
        if trial_id in self._ended:
            return
        change = TrialChange(trial_id, Status.RUNNING, name=name, params=params, tags=tags)
        known = trial_id in self.earlier.states
        self._append(TrialChange(trial_id, Status.RUNNING) if known else change)

        def start() -> None:
            again = self.earlier.reopen(trial_id)
            all_tags = {TRIAL_TAG: trial_id, **tags}
            self._children[trial_id] = again.child or self.run.start_child(name, params, all_tags)
            self._waiting[trial_id], self._held[trial_id] = again.missing, again.held

        self._try(start)

    def log_epoch(self, trial_id: str, number: int, metrics: Mapping[str, float]) -> None:
        """Record an epoch of a trial; MLflow gets it with others, after ten seconds or so."""
        if trial_id in self._ended or self.earlier.knows(trial_id, number, metrics):
            return
        at = self._append(TrialChange(trial_id, Status.RUNNING, epoch=number, metrics=metrics))
        if (number, metrics.get("train_loss")) not in self._held.get(trial_id, ()):
            self._waiting.setdefault(trial_id, []).append((number, metrics, at))
        if time.monotonic() - self._sent >= BATCH_SECONDS:
            self._send()

    def end_trial(
        self,
        trial_id: str,
        status: Status,
        row: Mapping[str, Any] | None,
        metrics: Mapping[str, float],
        tags: Mapping[str, object] | None = None,
    ) -> None:
        """Record that a trial is over, with its final metrics and, if it has one, its log row."""
        if trial_id in self._ended:  # interrupted on its way to MLflow: the first outcome stands
            return
        at = self._append(TrialChange(trial_id, status, metrics=metrics, row=row, tags=tags))
        self._ended[trial_id] = status
        history = [*self._waiting.pop(trial_id, []), (0, metrics, at)]

        def end() -> None:
            child = self._children.pop(trial_id, None)
            if child is None:  # interrupted while it was created
                self._append(UnsentEvent())
                return
            child.log_history(history)
            child.set_tags(tags or {})
            if row is not None:
                child.log_row(row)
            child.finish(RUN_STATUS[status])

        self._try(end)

    def finish(self, status: RunStatus) -> None:
        """Record that the invocation ends, also if it is interrupted meanwhile."""
        try:
            self._finish(status)
        except KeyboardInterrupt:
            self._finish(status)
            raise
        finally:
            self._lock.release()

    def kept(self) -> str:
        """Say what of the invocation is on disk, for when it ends early."""
        finished = sum(status in (Status.DONE, Status.PRUNED) for status in self._ended.values())
        trials = "1 finished trial is" if finished == 1 else f"{finished} finished trials are"
        return f"{trials if finished else 'the record is'} kept in {self.folder}"

    def make_room(self) -> None:
        """Give up the space that is kept for the end of the run, because it is near."""
        free_reserve(self._reserve)

    def _finish(self, status: RunStatus) -> None:
        self.make_room()
        self._append(FinishEvent(status))
        if self._connection.is_lost and not self._reconnect(now=True):
            if self.run.store.sqlite_path is not None:  # the disk is full, perhaps
                with suppress(TrackingError):
                    self.run.finish(status)
            self._on_loss("MLflow lacks a part of this run; 'autoplace sync' sends it later")
            return
        self._send()
        if status != "FINISHED":
            self._try(lambda: close_trials(self.run, self._ended, status), in_ledger=False)
        self._try(lambda: self.run.finish(status), in_ledger=False)

    def _append(self, event: Event) -> int | None:
        """Write to the ledger; if that has failed before, only try to. The time of the line."""
        try:
            return milliseconds(self._ledger.append(event))
        except WriteError:
            self.make_room()
            with suppress(WriteError):
                self._ledger.append(event)
            if not self._failed:
                self._failed = True
                raise
            return None

    def _send(self) -> None:
        """Send the waiting epochs to MLflow."""
        waiting, self._waiting = self._waiting, {}
        self._sent = time.monotonic()
        for trial_id, history in waiting.items():
            child = self._children.get(trial_id)
            if child is not None:
                self._try(partial(child.log_history, history))

    def _try(self, write: Callable[[], Any], *, in_ledger: bool = True) -> bool:
        """Write to MLflow; False if it does not answer.

        When a lost MLflow answers again, it is sent what the ledger holds, this write included if
        it is `in_ledger`.
        """
        if self._connection.is_lost:
            if not self._reconnect():
                return False
            if in_ledger:
                return True
        try:
            write()
        except TrackingError as error:
            self._append(UnsentEvent())
            self._connection.lose(error)
            return False
        except BaseException:
            self._append(UnsentEvent())  # interrupted in the middle: a push completes it
            raise
        return True

    def _reconnect(self, *, now: bool = False) -> bool:
        """Send a lost MLflow what it missed, if it answers again."""
        running = self._connection.catch_up(self.run, self._ledger, now=now)
        if running is not None:
            self._children = running
            self._waiting.clear()  # it was in the ledger
        return running is not None
