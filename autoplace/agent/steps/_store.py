"""Open the store that a command works on."""

from __future__ import annotations

from autoplace.agent.steps._progress import Progress
from autoplace.tracking import Store


def open_store(uri: str | None, progress: Progress, *, write: bool = True) -> Store:
    """Find the store and check, before anything is computed, that it can be used.

    Raises
    ------
    TrackingError
        It cannot be used; the message says why and what to do.
    """
    store = Store(uri)
    for note in store.check(write=write):
        progress.note(note)
    return store
