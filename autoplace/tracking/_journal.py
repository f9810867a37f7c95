"""The record of one invocation: the ledger first, then MLflow for as long as it answers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoplace.tracking._error import TrackingError
from autoplace.tracking._ledger import Ledger
from autoplace.tracking._probes import TABLES, log_probe
from autoplace.tracking._push import INVOCATION_TAG, UNSENT
from autoplace.tracking._rows import TRIAL_TAG
from autoplace.tracking._run import Run, RunStatus
from autoplace.tracking._store import Store

if TYPE_CHECKING:
    import pandas as pd

BATCHED_SECONDS = 10.0  # a request an epoch would be a good part of a short trial
_ENDS: dict[str, RunStatus] = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class Journal:
    """Every state change is on disk before MLflow hears of it.

    The store must be usable when an invocation starts. Should it fail later, `on_loss` is told
    once, the ledger alone goes on, and `push_unsent` brings MLflow up to date another day.

    Attributes
    ----------
    run : the parent run.
    folder : the run folder, `<store folder>/runs/<run id>`.
    """

    def __init__(
        self,
        store: Store,
        task_name: str,
        run_name: str,
        params: Mapping[str, object],
        tags: Mapping[str, object],
        on_loss: Callable[[str], None],
    ) -> None:
        invocation = uuid.uuid4().hex
        full_tags = {INVOCATION_TAG: invocation, **tags}
        self.run: Run = store.start_run(task_name, run_name, params, full_tags)
        self.folder: Path = store.folder / "runs" / self.run.run_id
        self._on_loss = on_loss
        self._lost = False
        self._children: dict[str, Run] = {}
        self._waiting: dict[str, list[tuple[int, Mapping[str, float]]]] = {}  # epochs by trial
        self._sent = time.monotonic()
        self._ledger = Ledger(self.folder / "ledger.jsonl")
        self._ledger.append(
            {
                "event": "run",
                "invocation": invocation,
                "run_id": self.run.run_id,
                "task_name": task_name,
                "run_name": run_name,
                "params": dict(params),
                "tags": full_tags,
            }
        )

    def tell(self, write: Callable[[Run], Any]) -> None:
        """Write to the parent run, e.g. `journal.tell(lambda run: run.log_json(...))`."""
        self._try(lambda: write(self.run))

    def probed(self, key: str, tables: Mapping[str, pd.DataFrame]) -> None:
        """Keep the probe's tables in the run folder and in MLflow, to be found by their key."""
        folder = self.folder / "probe"
        folder.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            tables[name].to_parquet(folder / f"{name}.parquet", index=False)
        self._ledger.append({"event": "probe", "probe_key": key})
        self._try(lambda: log_probe(self.run, key, tables))

    def open_trial(
        self, trial_id: str, name: str, params: Mapping[str, object], tags: Mapping[str, object]
    ) -> None:
        """A trial begins."""
        event = {"event": "trial", "trial_id": trial_id, "status": "running"}
        self._ledger.append({**event, "name": name, "params": dict(params)})

        def start() -> None:
            all_tags = {TRIAL_TAG: trial_id, **tags}
            self._children[trial_id] = self.run.start_child(name, params, all_tags)

        self._try(start)

    def epoch(self, trial_id: str, number: int, metrics: Mapping[str, float]) -> None:
        """An epoch of a trial is over; MLflow hears of it with others, within ten seconds or so."""
        event = {"event": "trial", "trial_id": trial_id, "status": "running"}
        self._ledger.append({**event, "epoch": number, "metrics": dict(metrics)})
        self._waiting.setdefault(trial_id, []).append((number, metrics))
        if time.monotonic() - self._sent >= BATCHED_SECONDS:
            self._send()

    def close_trial(
        self, trial_id: str, row: Mapping[str, Any], metrics: Mapping[str, float]
    ) -> None:
        """A trial is over; its `row` of the placement log says how, `metrics` what it gave."""
        event = {"event": "trial", "trial_id": trial_id, "status": row["status"]}
        self._ledger.append({**event, "row": dict(row)})
        history = [*self._waiting.pop(trial_id, []), (0, metrics)]

        def close() -> None:
            child = self._children.pop(trial_id)
            child.log_history(history)
            child.log_row(row)
            child.finish(_ENDS[row["status"]])

        self._try(close)

    def _send(self) -> None:
        """Send MLflow the epochs that wait."""
        waiting, self._waiting = self._waiting, {}
        self._sent = time.monotonic()
        for trial_id, history in waiting.items():
            child = self._children.get(trial_id)
            if child is not None:
                self._try(partial(child.log_history, history))

    def finish(self, status: RunStatus) -> None:
        """The invocation ends."""
        self._ledger.append({"event": "finish", "status": status})
        self._send()
        self._try(lambda: self.run.finish(status))

    def _try(self, write: Callable[[], Any]) -> None:
        if self._lost:
            return
        try:
            write()
        except TrackingError as error:
            # Each further call to a dead server would cost seconds.
            self._lost = True
            self._ledger.append({"event": UNSENT})
            self._on_loss(f"{error}\ngoing on without MLflow; 'autoplace retrain' sends it later")
