"""Whether MLflow answers; once it was lost it is tried again from time to time."""

from __future__ import annotations

import time

from autoplace.tracking._error import TrackingError
from autoplace.tracking.store import Store

FIRST_SECONDS, MOST_SECONDS = 10.0, 300.0  # between tries; the time doubles


class Connection:
    """The state of a store that may go away and come back while an invocation is at work.

    A call to a store that is gone takes seconds, so it is not called before the next try is due,
    and then first looked at, which takes five seconds at most.

    Parameters
    ----------
    store : Store
        The store.

    Examples
    --------
    >>> from autoplace.tracking import Store
    >>> connection = Connection(Store())
    >>> connection.lose()
    >>> connection.is_lost, connection.answers()
    (True, False)
    >>> connection.answers(now=True)  # the caller may try it
    True
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wait = FIRST_SECONDS
        self._next = 0.0
        self.is_lost = False

    def lose(self) -> None:
        """Note that a call has failed, also the first after the store had answered again."""
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
            self.lose()
            return False
        return True
