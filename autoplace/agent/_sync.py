"""`autoplace sync`: send MLflow what it lacks of the ledgers in the run folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._store import open_store
from autoplace.settings import StoreSettings
from autoplace.tracking import push_unsent


@dataclass(frozen=True)
class SyncResult:
    """What a sync sent.

    Attributes
    ----------
    store : str
        Address of the store.
    runs : dict of str to int
        For each run that was sent, by the name of its folder, how many trials the store lacked or
        held in part.

    Examples
    --------
    >>> SyncResult("sqlite:////runs/mlflow.db", {"f00d": 3}).trials
    3
    """

    store: str
    runs: dict[str, int]

    @property
    def trials(self) -> int:
        """Trials of all runs."""
        return sum(self.runs.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"store": self.store, "runs": self.runs, "trials": self.trials}


def sync(settings: StoreSettings, progress: Progress | None = None) -> SyncResult:
    """Send MLflow what it lacks of the ledgers in the store's folder.

    See `autoplace.sync`.

    Raises
    ------
    UserError
        The store cannot be used.
    """
    progress = progress or Progress()
    store = open_store(settings.store, progress)
    progress.stage("Reading the ledgers")
    return SyncResult(store.address, push_unsent(store, progress.note))
