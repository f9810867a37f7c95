"""Whether MLflow answers; once it was lost it is tried again from time to time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from autoplace.tracking._error import TrackingError
from autoplace.tracking.ledger._ledger import Ledger
from autoplace.tracking.ledger._push_run import push_run
from autoplace.tracking.store import Run, Store

FIRST_SECONDS, MOST_SECONDS = 10.0, 300.0  # between tries; the time doubles


class Connection:
    """The state of a store that may go away and come back while an invocation is at work.

    A call to a store that is gone takes seconds, so it is not called before the next try is due,
    and then first looked at, which takes five seconds at most.

    Parameters
    ----------
    store : Store
        The store.
    notify : callable
        Called with a sentence when the store is lost, and when it is back.

    Attributes
    ----------
    is_lost : bool
        Whether the store is taken to be away.
    missed : list of callable
        What was to be written to the invocation's run meanwhile and is not in its ledger.

    Examples
    --------
    >>> from autoplace.tracking import Store
    >>> connection = Connection(Store(), notify=print)
    >>> connection.lose(TrackingError("no MLflow server answers"))
    no MLflow server answers
    continuing without MLflow, which is tried again from time to time; ...
    >>> connection.is_lost, connection.answers()
    (True, False)
    >>> connection.answers(now=True)  # the caller may try it
    True
    """

    def __init__(self, store: Store, notify: Callable[[str], None]) -> None:
        self._store = store
        self._notify = notify
        self.missed: list[Callable[[Run], Any]] = []
        self._wait = FIRST_SECONDS
        self._next = 0.0
        self.is_lost = False

    def lose(self, error: TrackingError) -> None:
        """Note that a call has failed, also the first after the store had answered again."""
        self._put_off()
        self._notify(
            f"{error}\ncontinuing without MLflow, which is tried again from time to time; what it "
            "lacks in the end, 'autoplace sync' sends it"
        )

    def _put_off(self) -> None:
        self._wait = min(MOST_SECONDS, 2 * self._wait) if self.is_lost else FIRST_SECONDS
        self.is_lost = True
        self._next = time.monotonic() + self._wait

    def answers(self, *, now: bool = False) -> bool:
        """Whether a lost store answers, if a try is due; with `now`, it is due."""
        if not now and time.monotonic() < self._next:
            return False
        try:
            self._store.check()
        except TrackingError:
            self._put_off()
            return False
        return True

    def catch_up(self, run: Run, ledger: Ledger, *, now: bool = False) -> dict[str, Run] | None:
        """Send a lost store what it missed, if it answers again.

        Returns
        -------
        dict of str to Run or None
            The runs of the trials that are not over, by id; None if the store is still lost.
        """
        if not self.answers(now=now):
            return None
        try:
            running = push_run(run, ledger, running=True).running
        except TrackingError:
            self._put_off()
            return None
        while self.missed:
            try:
                self.missed[0](run)
            except TrackingError as error:
                if not self.answers(now=True):
                    return None
                self._notify(f"MLflow does not take a part of the record: {error}")
            self.missed.pop(0)
        self.is_lost = False
        self._notify("MLflow answers again and has what it missed")
        return running
