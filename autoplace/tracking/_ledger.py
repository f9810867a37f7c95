"""The crash-safe ledger of a run folder: one JSON line per state change, appended and synced.

It is enough to resume, to report and to retrain from when MLflow cannot be reached. Lines are
events; three kinds are read by this room, others may stand between them:

- `{"event": "run", "invocation": ID, "run_id": MLFLOW_ID_OR_NULL, "task_name": ...,
  "run_name": ..., "params": {...}, "tags": {...}}`: the invocation, first of all.
- `{"event": "trial", "trial_id": ID, "status": queued|running|done|failed|interrupted,
  "name": ..., "params": {...}, "metrics": {...}, "epoch": k, "row": {...}}`: a trial's new state.
  Only trial_id and status must be there; `row` is its placement-log row, once the trial is over.
- `{"event": "finish", "status": FINISHED|FAILED|KILLED}`: the end of the invocation.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autoplace.tracking._error import TrackingError
from autoplace.tracking._json import to_json


class Ledger:
    """An append-only `ledger.jsonl`, written by one process (any of its threads).

    Nothing is opened before the first `append`. A line that a crash cut short is removed then: it
    was never acknowledged, and glued to the next line it would spoil both.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._mended = False

    def append(self, event: Mapping[str, object]) -> None:
        """Write one event, with `time` (UTC, ISO 8601) added; on disk when this returns.

        Raises TrackingError when the file cannot be written.
        """
        line = to_json({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **event})
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
                raise TrackingError(
                    f"cannot write the ledger {self.path}: {error.strerror or error}; "
                    "free some space or choose a folder that can be written"
                ) from error

    @staticmethod
    def read(path: Path | str) -> list[dict[str, Any]]:
        """All events, oldest first; a last line that a crash cut short is left out.

        Raises TrackingError when there is no such file, or a line before the last is damaged.
        """
        try:
            lines = Path(path).read_bytes().splitlines()
        except OSError as error:
            raise TrackingError(
                f"cannot read the ledger {path}: {error.strerror or error}; "
                "give the ledger.jsonl of a run folder"
            ) from error
        events = []
        for number, line in enumerate(lines, start=1):
            event = _parse(line)
            if event is not None:
                events.append(event)
            elif number < len(lines):
                raise TrackingError(
                    f"line {number} of the ledger {path} is damaged; remove it to use the rest"
                )
        return events

    @staticmethod
    def trials(path: Path | str) -> dict[str, dict[str, Any]]:
        """The last known state of every trial by its id: its events merged, later over earlier.

        `history` holds the (epoch, metrics) pairs of all its events that carry metrics.
        """
        return merge_trials(Ledger.read(path))


def merge_trials(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """See `Ledger.trials`."""
    trials: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.get("event") == "trial":
            trial = trials.setdefault(event["trial_id"], {"history": []})
            trial.update(event)
            if event.get("metrics"):
                trial["history"].append((event.get("epoch"), event["metrics"]))
    return trials


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:  # of JSON, or of UTF-8 cut inside a character
        return None
    return event if isinstance(event, dict) else None


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
