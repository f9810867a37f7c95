"""A run that was interrupted, as its run folder and MLflow hold it, opened to be continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from autoplace.tracking._error import TrackingError
from autoplace.tracking.ledger._events import (
    DecisionEvent,
    Event,
    FinishEvent,
    ProbeEvent,
    ResumeEvent,
    RunEvent,
)
from autoplace.tracking.ledger._ledger import LEDGER_FILE, Ledger
from autoplace.tracking.ledger._lock import hold
from autoplace.tracking.ledger._probe_files import read_probe
from autoplace.tracking.ledger._push_run import first, is_deleted, look_up
from autoplace.tracking.store import Run, Store, find_run

if TYPE_CHECKING:
    import pandas as pd
    from filelock import FileLock


@dataclass
class Past:
    """What an interrupted run left; this process holds its run folder.

    As a context manager, it lets go of the run folder at the end.

    Attributes
    ----------
    run : Run
        The parent run in MLflow.
    ledger : Ledger
        Its ledger.
    lock : FileLock
        Held; a `Journal` that continues the run releases it.
    events : sequence of Event
        All that the ledger held when it was opened.

    Examples
    --------
    >>> from autoplace.tracking import Journal, Store, open_past
    >>> journal = Journal(Store(), "digits", "pick digits", {}, {}, on_loss=print)
    >>> journal.record_decision("seeds", 3)
    >>> journal.finish("KILLED")
    >>> with open_past(Store(), journal.run.run_id) as past:
    ...     past.decision("seeds"), past.probe()
    (3, None)
    """

    run: Run
    ledger: Ledger
    lock: FileLock
    events: Sequence[Event]

    @property
    def start(self) -> RunEvent:
        """The first event: options, tags, and the data that follows."""
        return next(event for event in self.events if isinstance(event, RunEvent))

    @property
    def options(self) -> Mapping[str, Any]:
        """Names and values of the options that the run was started with, and its `data`."""
        return self.start.params

    @property
    def tags(self) -> Mapping[str, Any]:
        """Tags of the run, such as the fingerprint of its task."""
        return self.start.tags

    @property
    def seconds(self) -> float:
        """Seconds for which the run was worked on."""
        return self.ledger.seconds()

    def decision(self, name: str) -> Any:
        """Return what was decided, the last time; None if it was not."""
        found = (
            e for e in reversed(self.events) if isinstance(e, DecisionEvent) and e.name == name
        )
        return next((event.value for event in found), None)

    def probe(self) -> tuple[str, dict[str, pd.DataFrame]] | None:
        """Return key and tables of the probe; None if there are none, or they are damaged."""
        event = first(self.events, ProbeEvent)
        with suppress(TrackingError):
            if event is not None and (
                tables := read_probe(self.ledger.path.parent, event.probe_key)
            ):
                return event.probe_key, tables
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lock.release()


def open_past(store: Store, run_id: str) -> Past:
    """Open a run that was interrupted, so that no other process can.

    Parameters
    ----------
    store : Store
        The store that holds the run; its folder holds the run folder.
    run_id : str
        MLflow's id of the run.

    Raises
    ------
    TrackingError
        The run is unknown or finished, has no ledger here, or another process works on it.

    Examples
    --------
    >>> from autoplace.tracking import Journal, Store, open_past
    >>> store = Store()
    >>> journal = Journal(store, "digits", "pick digits", {"seed": 7}, {}, on_loss=print)
    >>> journal.finish("KILLED")
    >>> with open_past(store, journal.run.run_id) as past:
    ...     past.options["seed"]
    7
    """
    run = find_run(store, run_id)
    folder = store.run_folder(run.run_id)
    ledger = Ledger(folder / LEDGER_FILE)
    if not folder.is_dir():
        raise TrackingError(
            f"run {run_id} has no run folder {folder}; resume it on the machine and in the folder "
            "in which it was started"
        )
    lock = hold(folder)
    try:
        events = ledger.read() if ledger.path.exists() else []
        _check(run, events)
    except BaseException:
        lock.release()
        raise
    return Past(run, ledger, lock, events)


def _check(run: Run, events: Sequence[Event]) -> None:
    """Raise TrackingError if a run cannot be continued."""
    if is_deleted(look_up(run)):
        raise TrackingError(
            f"run {run.run_id} was deleted in MLflow; restore it there, or start it again"
        )
    if first(events, RunEvent) is None:
        run.finish("KILLED")  # it was killed as it started, and nobody else would say so
        raise TrackingError(f"run {run.run_id} ended before anything was recorded; start it again")
    ends = [event for event in events if isinstance(event, FinishEvent | ResumeEvent)]
    if ends and isinstance(ends[-1], FinishEvent) and ends[-1].status == "FINISHED":
        raise TrackingError(
            f"run {run.run_id} is finished, so there is nothing to resume; "
            "'autoplace ui' shows its results"
        )
