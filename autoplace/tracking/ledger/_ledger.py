"""The crash-safe ledger of a run folder: one JSON line per event, appended and synced.

It is enough to resume, to report and to retrain from when MLflow cannot be reached.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from autoplace.tracking._error import TrackingError, WriteError
from autoplace.tracking._json import to_json
from autoplace.tracking.ledger._events import (
    Event,
    EventKind,
    TrialChange,
    event_from_dict,
    event_to_dict,
)
from predictors.vocabulary import Status

LEDGER_FILE = "ledger.jsonl"


class Ledger:
    r"""An append-only file of events, written by one process (any of its threads).

    Nothing is opened before the first `append`. If a crash cut the last line short, it is removed
    then: it was never acknowledged, and joined with the next line it would spoil both.

    Parameters
    ----------
    path : Path or str
        The file, `ledger.jsonl` in a run folder.

    Examples
    --------
    >>> path = Path("ledger.jsonl")
    >>> path.write_text('{"event": "probe", "probe_key": "5eed"}\n{"event": "tri')
    54
    >>> Ledger(path).read()
    [ProbeEvent(probe_key='5eed')]
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._mended = False

    def append(self, event: Event) -> str:
        """Write one event with the current `time` (UTC, ISO 8601); on disk when this returns.

        Returns
        -------
        str
            The time.

        Raises
        ------
        WriteError
            The file cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = to_json({"time": now, **event_to_dict(event)})
        with self._lock:
            try:
                if not self._mended:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    _mend(self.path)
                    self._mended = True
                with self.path.open("ab") as file:
                    file.write(line.encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                self._mended = False  # the line may be there in part
                raise WriteError(
                    f"cannot write the ledger {self.path}: {error.strerror or error}; "
                    "free some space or choose a folder that can be written"
                ) from error
        return now

    def read(self) -> list[Event]:
        """All events, oldest first.

        A last line that a crash cut short is left out, and so are events of a kind that only a
        later version of autoplace knows.

        Raises
        ------
        TrackingError
            There is no such file, or a line is damaged.
        """
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError as error:
            raise TrackingError(
                f"cannot read the ledger {self.path}: {error.strerror or error}; "
                "give the ledger.jsonl of a run folder"
            ) from error
        events = []
        for number, line in enumerate(lines, start=1):
            content = _parse(line)
            if content is None and number == len(lines):
                break
            try:
                if content is None:
                    raise ValueError("it is not JSON")
                event = event_from_dict(content)
            except ValueError as error:
                raise TrackingError(
                    f"line {number} of the ledger {self.path} is damaged ({error}); "
                    "remove it to use the rest"
                ) from error
            if event is not None:
                events.append(event)
        return events

    def seconds(self) -> float:
        """Seconds for which processes have written the ledger, without the time between them."""
        seconds, began, last = 0.0, None, None
        for line in self.path.read_bytes().splitlines():
            content = _parse(line) or {}
            try:
                now = datetime.fromisoformat(content["time"])
            except (KeyError, TypeError, ValueError):
                continue
            if began is None or content.get("event") == EventKind.RESUME:
                seconds += (last - began).total_seconds() if began and last else 0.0
                began = now
            last = now
        return seconds + ((last - began).total_seconds() if began and last else 0.0)


@dataclass
class TrialState:
    """What a ledger says of a trial in the end.

    Attributes
    ----------
    metrics : dict of int to mapping
        By epoch (0: the end), in the order in which the epochs were first told of; of an epoch
        that was trained again, the last metrics.
    """

    status: Status
    name: str | None = None
    params: Mapping[str, Any] | None = None
    tags: Mapping[str, Any] | None = None
    row: Mapping[str, Any] | None = None
    metrics: dict[int, Mapping[str, float | None]] = field(default_factory=dict)

    @property
    def history(self) -> list[tuple[int, Mapping[str, float | None]]]:
        """Epochs and their metrics."""
        return list(self.metrics.items())


def trial_states(events: Iterable[Event]) -> dict[str, TrialState]:
    """Last known state of every trial by its id: later events win over earlier ones."""
    states: dict[str, TrialState] = {}
    for event in events:
        if not isinstance(event, TrialChange):
            continue
        state = states.setdefault(event.trial_id, TrialState(event.status))
        state.status = event.status
        state.name = event.name or state.name
        state.params = event.params or state.params
        state.tags = {**(state.tags or {}), **(event.tags or {})} or None
        state.row = event.row or state.row
        if event.metrics:
            state.metrics[event.epoch or 0] = event.metrics
    return states


def milliseconds(time: str | None) -> int | None:
    """Milliseconds since 1970 of the `time` of a line; None if it is none.

    Examples
    --------
    >>> milliseconds("2026-01-02T03:04:05.678+00:00")
    1767323045678
    """
    try:
        moment = datetime.fromisoformat(time or "")
    except (TypeError, ValueError):
        return None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def is_behind(events: Iterable[Event]) -> bool:
    """Whether MLflow may lack some of it: MLflow was lost, or the process never wrote its end."""
    is_open = lacks = False
    for event in events:
        match event.kind:
            case EventKind.RUN | EventKind.RESUME:
                is_open, lacks = True, False
            case EventKind.UNSENT:
                lacks = True
            case EventKind.FINISH:
                is_open = False
            case EventKind.SENT:
                is_open = lacks = False
    return is_open or lacks


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):  # from JSON, or UTF-8 that was cut within a character
        return None
    return content if isinstance(content, dict) else None


def _mend(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    kept, newline, tail = content.rpartition(b"\n")
    if not tail:
        return
    with path.open("r+b") as file:
        if _parse(tail) is None:
            file.truncate(len(kept) + len(newline))
        else:  # whole but for its newline
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
