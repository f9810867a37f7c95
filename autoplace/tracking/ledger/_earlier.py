"""The trials that a run had before it was resumed, as the ledger and MLflow hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from autoplace.tracking.ledger._ledger import TrialState, is_behind, trial_states
from autoplace.tracking.ledger._past import Past
from autoplace.tracking.ledger._push import push_ledger
from autoplace.tracking.ledger._push_run import trial_histories
from autoplace.tracking.store import TRIAL_TAG, Point, Run, search_children
from predictors.vocabulary import Status


@dataclass(frozen=True)
class Reopened:
    """A trial's run that was opened again.

    Attributes
    ----------
    child : Run or None
        The run, if MLflow has it.
    missing : list of Point
        Epochs that it lacks.
    held : set of tuple of int and float
        Epochs that it has, with their training losses. The ledger can lack one of them: a disk that
        lies about what it has written can lose a line that MLflow was told of.
    """

    child: Run | None
    missing: list[Point]
    held: set[tuple[int, float]]


@dataclass(frozen=True)
class EarlierTrials:
    """Trials of a resumed run, by id; empty for a run that is new.

    Attributes
    ----------
    states : dict of str to TrialState
        What the ledger says.
    children : dict of str to Run
        Their runs in MLflow.
    points : dict of str to list of Point
        Their metrics.
    """

    states: dict[str, TrialState] = field(default_factory=dict)
    children: dict[str, Run] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)

    @classmethod
    def of(cls, past: Past) -> Self:
        """Read them; MLflow first gets what it lacks of those that are over."""
        store = past.run.store
        if is_behind(past.events):
            push_ledger(store, past.ledger)
        found = search_children(past.run)
        children = {run.data.tags.get(TRIAL_TAG, ""): Run.of(store, run) for run in found}
        points = {key: each.points for key, each in trial_histories(past.events).items()}
        return cls(trial_states(past.events), children, points)

    @property
    def ended(self) -> dict[str, Status]:
        """How those ended that were not interrupted."""
        return {
            trial_id: state.status
            for trial_id, state in self.states.items()
            if self.has_ended(trial_id)
        }

    @property
    def running(self) -> list[str]:
        """Those that had not ended when the process was gone."""
        return [trial_id for trial_id, s in self.states.items() if not s.status.is_over]

    def has_ended(self, trial_id: str) -> bool:
        """Whether a trial had ended with a result."""
        state = self.states.get(trial_id)
        if state is None:
            return False
        return state.status.is_over and state.status is not Status.INTERRUPTED

    def row(self, trial_id: str) -> Mapping[str, Any] | None:
        """Return the row of a trial that had ended."""
        return self.states[trial_id].row if self.has_ended(trial_id) else None

    def knows(self, trial_id: str, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Whether the ledger holds these metrics of an epoch."""
        state = self.states.get(trial_id)
        return state is not None and state.metrics.get(epoch) == dict(metrics)

    def reopen(self, trial_id: str) -> Reopened:
        """Open a trial's run in MLflow again, if it exists."""
        child = self.children.get(trial_id)
        held: set[tuple[int, float]] = set()
        if child is not None:
            child.reopen()
            held = child.read_history("train_loss")
        steps = {0, *(step for step, _ in held)}  # the end is written again
        missing = [point for point in self.points.get(trial_id, []) if point[0] not in steps]
        return Reopened(child, missing, held)
