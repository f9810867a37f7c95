"""Sends what a ledger holds to MLflow once it can be reached again, without duplicates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from autoplace.tracking._error import TrackingError
from autoplace.tracking.ledger._events import (
    RUN_STATUS,
    Event,
    FinishEvent,
    ProbeEvent,
    RunEvent,
    SentEvent,
)
from autoplace.tracking.ledger._ledger import (
    LEDGER_FILE,
    Ledger,
    TrialState,
    is_behind,
    trial_states,
)
from autoplace.tracking.ledger._lock import is_held
from autoplace.tracking.ledger._probe_files import read_probe, run_folders
from autoplace.tracking.store import (
    TRIAL_TAG,
    Run,
    Store,
    decode_row,
    find_run,
    log_probe,
    search_runs,
    start_run,
)

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

E = TypeVar("E", bound=Event)
INVOCATION_TAG = "autoplace.invocation"


def push_unsent(store: Store, notify: Callable[[str], None] = lambda text: None) -> int:
    """Send MLflow every ledger in the store's folder whose invocation lost it.

    Parameters
    ----------
    store : Store
        The store to bring up to date.
    notify : callable, optional
        Called with a sentence for each ledger that cannot be read and is skipped.

    Returns
    -------
    int
        How many ledgers were sent.

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
    >>> push_unsent(store), push_unsent(store)
    (1, 0)
    """
    sent = 0
    for folder in run_folders(store):
        ledger = Ledger(folder / LEDGER_FILE)
        try:
            behind = is_behind(ledger.read())
        except TrackingError as error:
            notify(f"skipped: {error}")
            continue
        if is_held(folder):  # it is still running, and writing more
            continue
        if behind:
            push_ledger(store, ledger)
            ledger.append(SentEvent())
            sent += 1
    return sent


def push_ledger(store: Store, ledger: Ledger) -> int:
    """Create or complete, in MLflow, the trials of a ledger that it lacks.

    A trial is known by its id (tag `autoplace.trial_id`) among the children of its invocation,
    the invocation by its MLflow run id or by its tag `autoplace.invocation`. Pushing again, also
    after an interrupted push, adds nothing twice. Trials that are not over are left out. What was
    deleted in MLflow stays deleted: a trial is passed over, and so is a whole invocation.

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
    over = {
        trial_id: state for trial_id, state in trial_states(events).items() if state.status.is_over
    }
    if not over:
        return 0
    invocation = _first(events, RunEvent)
    if invocation is None:
        raise TrackingError(
            f"the ledger {ledger.path} does not say which run it belongs to; "
            "give the ledger.jsonl that 'autoplace pick' or 'collect' wrote"
        )
    parent, is_ours = _find_parent(store, invocation)
    if _is_deleted(store.client.get_run(parent.run_id)):
        return 0
    probe = _first(reversed(events), ProbeEvent)
    tables = read_probe(ledger.path.parent, probe.probe_key) if probe else None
    if probe and tables:
        log_probe(parent, probe.probe_key, tables)
    pushed = _push_trials(parent, over)
    end = _first(reversed(events), FinishEvent)
    running = store.client.get_run(parent.run_id).info.status == "RUNNING"
    if running and (is_ours or end):
        # An invocation that never wrote its end was killed.
        parent.finish(end.status if end else "KILLED")
    return pushed


def _push_trials(parent: Run, over: Mapping[str, TrialState]) -> int:
    store = parent.store
    condition = f"tags.`mlflow.parentRunId` = '{parent.run_id}'"
    known = {
        found.data.tags.get(TRIAL_TAG): found
        for found in search_runs(store, condition, deleted=True)
    }
    pushed = 0
    for trial_id, state in over.items():
        found = known.get(trial_id)
        if found is None:
            tags = {TRIAL_TAG: trial_id, **(state.tags or {})}
            run = parent.start_child(state.name or trial_id, state.params, tags)
        elif _is_deleted(found) or _is_complete(found, state):
            continue
        else:
            run = Run.of(store, found)
        _complete(run, state)
        pushed += 1
    return pushed


def _complete(run: Run, state: TrialState) -> None:
    run.log_history(
        (epoch, {key: value for key, value in metrics.items() if value is not None})
        for epoch, metrics in state.history
    )
    if state.row:
        run.log_row(state.row)
    # Last, so that the next push completes the run if this one is interrupted before.
    run.finish(RUN_STATUS[state.status])


def _find_parent(store: Store, invocation: RunEvent) -> tuple[Run, bool]:
    """Find the invocation's run, and whether a push made it, so that only a push ends it."""
    if invocation.run_id and store.exists:
        try:
            return find_run(store, invocation.run_id), False
        except TrackingError:
            pass  # the ledger is from another store: known there by this id, here by its tag
    condition = f"tags.`{INVOCATION_TAG}` = '{invocation.invocation}'"
    known = search_runs(store, condition, deleted=True)
    if known:
        return Run.of(store, min(known, key=_is_deleted)), True
    tags = {**invocation.tags, INVOCATION_TAG: invocation.invocation}
    names = invocation.task_name, invocation.run_name
    return start_run(store, *names, invocation.params, tags), True


def _first(events: Iterable[Event], kind: type[E]) -> E | None:
    return next((event for event in events if isinstance(event, kind)), None)


def _is_deleted(found: MlflowRun) -> bool:
    return found.info.lifecycle_stage == "deleted"


def _is_complete(found: MlflowRun, state: TrialState) -> bool:
    lacks_row = bool(state.row) and decode_row(found.data.tags) is None
    return found.info.status != "RUNNING" and not lacks_row
