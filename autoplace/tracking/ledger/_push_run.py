"""Sends the run of an invocation what it lacks of a ledger, without gaps or duplicates.

MLflow knows a point of a metric by key, time, step and value. Points get the time of their line in
the ledger, and of a trial that MLflow holds in part only the points that it lacks are sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from autoplace.tracking._error import TrackingError, translated
from autoplace.tracking.ledger._events import RUN_STATUS, Event, ProbeEvent, TrialChange
from autoplace.tracking.ledger._ledger import Ledger, TrialState, milliseconds, trial_states
from autoplace.tracking.ledger._probe_files import read_probe
from autoplace.tracking.store import TRIAL_TAG, Point, Run, decode_row, log_probe, search_children

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

E = TypeVar("E", bound=Event)


@dataclass
class Pushed:
    """What a push did.

    Attributes
    ----------
    completed : list of str
        Ids of the trials that are over and that MLflow lacked or held in part.
    running : dict of str to Run
        The runs of trials that are not over, by id.
    """

    completed: list[str] = field(default_factory=list)
    running: dict[str, Run] = field(default_factory=dict)


def push_run(parent: Run, ledger: Ledger, *, running: bool) -> Pushed:
    """Send the run of an invocation its probe, and create or complete its trials.

    Parameters
    ----------
    parent : Run
        The invocation's run.
    ledger : Ledger
        Its ledger.
    running : bool
        Whether trials that are not over are sent as well, as far as they are.

    Raises
    ------
    TrackingError
        The ledger cannot be read, the run was deleted, or the store cannot be used.
    """
    if is_deleted(look_up(parent)):
        raise TrackingError(f"the run {parent.run_id} was deleted in MLflow; restore it there")
    events = ledger.read()
    probe = first(reversed(events), ProbeEvent)
    tables = read_probe(ledger.path.parent, probe.probe_key) if probe else None
    if probe and tables:
        log_probe(parent, probe.probe_key, tables)
    children = search_children(parent, deleted=True)
    known = {found.data.tags.get(TRIAL_TAG): found for found in children}
    histories = trial_histories(events)
    pushed = Pushed()
    for trial_id, state in trial_states(events).items():
        history, found = histories[trial_id], known.get(trial_id)
        if not running and not state.status.is_over:
            continue
        if found is not None and (is_deleted(found) or _is_complete(found, state, history)):
            continue
        run = _complete(parent, trial_id, state, history, found)
        if state.status.is_over:
            pushed.completed.append(trial_id)
        else:
            pushed.running[trial_id] = run
    return pushed


def _complete(
    parent: Run, trial_id: str, state: TrialState, history: TrialHistory, found: MlflowRun | None
) -> Run:
    """Create a trial's run, or add what it lacks; end it if the trial is over."""
    tags = {TRIAL_TAG: trial_id, **(state.tags or {})}
    points = history.points
    if found is None:
        run = parent.start_child(
            state.name or trial_id, state.params, tags, milliseconds(history.first)
        )
    else:
        run = Run.of(parent.store, found)
        run.log_params(state.params or {})
        run.set_tags(tags)
        held = {key: run.read_history(key) for key in {key for _, m, _ in points for key in m}}
        points = [
            (step, {key: v for key, v in metrics.items() if (step, v) not in held[key]}, at)
            for step, metrics, at in points
        ]
    run.log_history(points)
    if state.row:
        run.log_row(state.row)
    if state.status.is_over:
        # Last, so that the next push completes the run if this one is interrupted before.
        run.finish(RUN_STATUS[state.status], milliseconds(history.last))
    return run


@dataclass
class TrialHistory:
    """When a trial began and ended, and its metrics by epoch; 0 stands for the end."""

    first: str | None = None
    last: str | None = None
    by_epoch: dict[int, Point] = field(default_factory=dict)

    @property
    def points(self) -> list[Point]:
        return list(self.by_epoch.values())


def trial_histories(events: Iterable[Event]) -> dict[str, TrialHistory]:
    """Histories of trials; of an epoch that was trained again, the last metrics."""
    histories: dict[str, TrialHistory] = {}
    for event in events:
        if not isinstance(event, TrialChange):
            continue
        history = histories.setdefault(event.trial_id, TrialHistory(first=event.time))
        history.last = event.time or history.last
        if event.metrics:
            # JSON has no NaN.
            given = {key: float(v) for key, v in event.metrics.items() if v is not None}
            step = event.epoch or 0
            history.by_epoch[step] = (step, given, milliseconds(event.time))
    return histories


def look_up(run: Run) -> MlflowRun:
    """MLflow's present account of a run."""
    with translated(f"look up run {run.run_id}", run.store.address):
        return run.store.client.get_run(run.run_id)


def is_deleted(found: MlflowRun) -> bool:
    """Whether a run was deleted in MLflow, which keeps it until it is purged."""
    return found.info.lifecycle_stage == "deleted"


def first(events: Iterable[Event], kind: type[E]) -> E | None:
    """Return the first event of a kind."""
    return next((event for event in events if isinstance(event, kind)), None)


def _is_complete(found: MlflowRun, state: TrialState, history: TrialHistory) -> bool:
    """Whether MLflow holds the end of a trial, and the last that was measured before it."""
    if not state.status.is_over or found.info.status == "RUNNING":
        return False
    if state.row and decode_row(found.data.tags) is None:
        return False
    last: dict[str, float] = {}
    for _, metrics, _ in sorted(history.points, key=lambda point: point[0]):
        last |= metrics
    held = found.data.metrics
    return all(math.isclose(held.get(key, math.nan), v, rel_tol=1e-12) for key, v in last.items())
