"""The events of a ledger: every kind, and what each carries. Journal, ledger and push read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar, get_args

from autoplace.tracking.store import RunStatus
from predictors.vocabulary import Status

# How MLflow's run of a trial ends. Other statuses say that the trial is not over.
RUN_STATUS: Mapping[Status, RunStatus] = {
    Status.DONE: "FINISHED",
    Status.FAILED: "FAILED",
    Status.PRUNED: "FINISHED",
    Status.INTERRUPTED: "KILLED",
}


class EventKind(StrEnum):
    """What a line of a ledger tells; its key `event`.

    Examples
    --------
    >>> [kind.value for kind in EventKind]
    ['run', 'resume', 'probe', 'decision', 'trial', 'unsent', 'sent', 'finish']
    """

    RUN = "run"
    RESUME = "resume"
    PROBE = "probe"
    DECISION = "decision"
    TRIAL = "trial"
    UNSENT = "unsent"
    SENT = "sent"
    FINISH = "finish"


@dataclass(frozen=True)
class RunEvent:
    """The invocation started: the first line."""

    kind: ClassVar = EventKind.RUN
    invocation: str
    run_id: str | None = None  # MLflow's, where it was reached
    task_name: str = ""
    run_name: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    rest: Sequence[str] = ()  # data that the command goes on with after this run


@dataclass(frozen=True)
class ResumeEvent:
    """A process goes on with the invocation; MLflow has all that came before."""

    kind: ClassVar = EventKind.RESUME


@dataclass(frozen=True)
class ProbeEvent:
    """The probe's tables are in the folder `probe` beside the ledger."""

    kind: ClassVar = EventKind.PROBE
    probe_key: str


@dataclass(frozen=True)
class DecisionEvent:
    """Something was decided that would be decided otherwise at another time, such as by speed."""

    kind: ClassVar = EventKind.DECISION
    name: str
    value: Any  # JSON


@dataclass(frozen=True)
class TrialChange:
    """A trial started, finished an epoch, or ended; only what is new is given."""

    kind: ClassVar = EventKind.TRIAL
    trial_id: str
    status: Status
    name: str | None = None
    params: Mapping[str, Any] | None = None
    tags: Mapping[str, Any] | None = None
    epoch: int | None = None
    metrics: Mapping[str, float | None] | None = None
    row: Mapping[str, Any] | None = None  # once the trial is over
    time: str | None = field(default=None, compare=False)  # of the line; the ledger sets it

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", Status(self.status))


@dataclass(frozen=True)
class UnsentEvent:
    """MLflow could not be reached: from here on it lacks what the ledger holds."""

    kind: ClassVar = EventKind.UNSENT


@dataclass(frozen=True)
class SentEvent:
    """MLflow was brought up to date after the end of the invocation."""

    kind: ClassVar = EventKind.SENT


@dataclass(frozen=True)
class FinishEvent:
    """The invocation ended."""

    kind: ClassVar = EventKind.FINISH
    status: RunStatus

    def __post_init__(self) -> None:
        if self.status not in get_args(RunStatus):
            raise ValueError(f"{self.status!r} is not a status in which a run ends")


Event = (
    RunEvent
    | ResumeEvent
    | ProbeEvent
    | DecisionEvent
    | TrialChange
    | UnsentEvent
    | SentEvent
    | FinishEvent
)
_TEXT, _OBJECT = (str, type(None)), (dict, type(None))
# What JSON has in each field; others are checked where they are read.
_KINDS: dict[str, tuple[type, ...]] = {
    "invocation": (str,), "run_id": _TEXT, "task_name": (str,), "run_name": (str,),
    "params": _OBJECT, "tags": _OBJECT, "rest": (list,), "probe_key": (str,), "trial_id": (str,),
    "name": _TEXT, "epoch": (int, type(None)), "metrics": _OBJECT, "row": _OBJECT, "time": _TEXT,
}  # fmt: skip
_TYPES: dict[str, type[Event]] = {cls.kind: cls for cls in get_args(Event)}


def event_to_dict(event: Event) -> dict[str, Any]:
    """Write an event as a dictionary; fields that were not given are left out."""
    values = ((entry, getattr(event, entry.name)) for entry in fields(event))
    given = {
        entry.name: value
        for entry, value in values
        if entry.default is MISSING or value != entry.default
    }
    return {"event": event.kind, **given}


def event_from_dict(content: Mapping[str, Any]) -> Event | None:
    """Read an event; None for a kind that this version does not know.

    Raises
    ------
    ValueError
        A field is missing, or its value is none of those it may have.
    """
    event_type = _TYPES.get(str(content.get("event")))
    if event_type is None:
        return None
    known = {entry.name for entry in fields(event_type)}
    given = {name: value for name, value in content.items() if name in known}
    for name, value in given.items():
        if not isinstance(value, _KINDS.get(name, object)):
            raise ValueError(f"{name} is of type {type(value).__name__}")
    metrics = given.get("metrics") or {}
    if not all(isinstance(value, int | float | None) for value in metrics.values()):
        raise ValueError("a metric is not a number")
    try:
        return event_type(**given)
    except TypeError as error:
        raise ValueError(str(error)) from error
