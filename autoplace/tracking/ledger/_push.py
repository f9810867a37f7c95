"""Sends what ledgers hold to MLflow once it can be reached again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from autoplace.tracking._error import TrackingError
from autoplace.tracking.ledger._events import (
    RUN_STATUS,
    Event,
    FinishEvent,
    RunEvent,
    SentEvent,
    TrialChange,
)
from autoplace.tracking.ledger._ledger import (
    LEDGER_FILE,
    Ledger,
    TrialState,
    is_behind,
    milliseconds,
    trial_states,
)
from autoplace.tracking.ledger._lock import hold, is_held
from autoplace.tracking.ledger._probe_files import run_folders
from autoplace.tracking.ledger._push_run import first, is_deleted, look_up, push_run
from autoplace.tracking.store import (
    TRIAL_TAG,
    Run,
    Store,
    find_run,
    search_children,
    search_runs,
    start_run,
)
from predictors.vocabulary import Status

INVOCATION_TAG = "autoplace.invocation"


def push_unsent(store: Store, notify: Callable[[str], None] = lambda text: None) -> dict[str, int]:
    """Send MLflow every ledger in the store's folder whose invocation lost it.

    Parameters
    ----------
    store : Store
        The store to bring up to date.
    notify : callable, optional
        Called with a sentence for each ledger that is skipped: it cannot be read, or its
        invocation is still at work.

    Returns
    -------
    dict of str to int
        For each ledger that was sent, by the name of its run folder, how many trials MLflow lacked
        or held in part.

    Raises
    ------
    TrackingError
        The store cannot be used.

    Examples
    --------
    >>> from autoplace.tracking import Journal, Store, TrackingError
    >>> store = Store()
    >>> journal = Journal(store, "digits", "pick digits", {}, {}, lambda message: None)
    >>> def fail(run):
    ...     raise TrackingError("the server is gone")
    >>> journal.tell(fail)
    >>> journal.finish("FINISHED")
    >>> list(push_unsent(store).values()), push_unsent(store)
    ([0], {})
    """
    sent: dict[str, int] = {}
    for folder in run_folders(store):
        ledger = Ledger(folder / LEDGER_FILE)
        try:
            behind = is_behind(ledger.read())
        except TrackingError as error:
            notify(f"skipped: {error}")
            continue
        if not behind:
            continue
        if is_held(folder):  # it is still at work, and writing more
            notify(f"skipped: a process is still working on the run in {folder}")
            continue
        lock = hold(folder)  # not two pushes at once, which would each create what is missing
        try:
            sent[folder.name] = push_ledger(store, ledger, is_over=True)
            ledger.append(SentEvent())
        finally:
            lock.release()
    return sent


def push_ledger(store: Store, ledger: Ledger, *, is_over: bool = False) -> int:
    """Create or complete, in MLflow, the trials of a ledger that it lacks.

    A trial is known by its id (tag `autoplace.trial_id`) among the children of its invocation,
    the invocation by its MLflow run id or by its tag `autoplace.invocation`. Pushing again, also
    after an interrupted push, adds nothing twice. Trials that are not over are left out. What was
    deleted in MLflow stays deleted: a trial is passed over, and so is a whole invocation.

    Parameters
    ----------
    store : Store
        The store to bring up to date.
    ledger : Ledger
        What to send.
    is_over : bool, default=False
        Whether no process is working on the invocation: what MLflow takes for running is ended.

    Returns
    -------
    int
        How many trials were created or completed.

    Raises
    ------
    TrackingError
        The ledger cannot be read, or the store cannot be used.
    """
    events = ledger.read()
    states = trial_states(events)
    invocation = first(events, RunEvent)
    some_over = any(state.status.is_over for state in states.values())
    if not some_over and not (is_over and store.exists and invocation):
        return 0
    if invocation is None:
        raise TrackingError(
            f"the ledger {ledger.path} does not say which run it belongs to; "
            "give the ledger.jsonl that 'autoplace pick' or 'collect' wrote"
        )
    parent, is_ours = _find_parent(store, invocation, create=some_over)
    if parent is None or is_deleted(look_up(parent)):
        return 0
    pushed = push_run(parent, ledger, running=False)
    end = first(reversed(events), FinishEvent)
    if is_over:
        _end_others(parent, states, events)
    running = look_up(parent).info.status == "RUNNING"
    if running and (is_ours or end or is_over):
        # An invocation that never wrote its end was killed.
        parent.finish(end.status if end else "KILLED", _last_time(events))
    return len(pushed.completed)


def _end_others(parent: Run, states: Mapping[str, TrialState], events: Sequence[Event]) -> None:
    """End the runs of trials that did not end with their invocation."""
    for found in search_children(parent, running=True):
        state = states.get(found.data.tags.get(TRIAL_TAG, ""))
        if state is not None and not state.status.is_over:
            status = RUN_STATUS[Status.INTERRUPTED]
            Run.of(parent.store, found).finish(status, _last_time(events))


def _find_parent(store: Store, invocation: RunEvent, *, create: bool) -> tuple[Run | None, bool]:
    """Find the invocation's run, and whether a push made it, so that only a push ends it."""
    if invocation.run_id and store.exists:
        try:
            return find_run(store, invocation.run_id), False
        except TrackingError:
            pass  # the ledger is from another store: known there by this id, here by its tag
    condition = f"tags.`{INVOCATION_TAG}` = '{invocation.invocation}'"
    known = search_runs(store, condition, deleted=True)
    if known:
        return Run.of(store, min(known, key=is_deleted)), True
    if not create:
        return None, True
    tags = {**invocation.tags, INVOCATION_TAG: invocation.invocation}
    names = invocation.task_name, invocation.run_name
    return start_run(store, *names, invocation.params, tags), True


def _last_time(events: Sequence[Event]) -> int | None:
    """When the last change of a trial was recorded."""
    last = first(reversed(events), TrialChange)
    return milliseconds(last.time) if last else None
