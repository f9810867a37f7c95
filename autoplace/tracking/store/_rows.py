"""All rows that a store holds: those of its own trials, and those that were imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoplace.tracking.store._row_tags import ROW_TAG, decode_row
from autoplace.tracking.store._run import Run
from autoplace.tracking.store._search import search_runs
from autoplace.tracking.store._store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

# A run that holds rows recorded elsewhere, and the file in it.
IMPORTED_TAG = "autoplace.imported_log"
IMPORTED_FILE = "trials.parquet"


def read_rows(store: Store) -> list[dict[str, Any]]:
    """Read the rows of all trials in the store, over all experiments.

    Parameters
    ----------
    store : Store
        Where to look; a SQLite store that does not exist yet holds no rows and is not created.

    Returns
    -------
    list of dict
        Oldest first, and imported rows before the store's own. Each has the key `trial_id` and
        whatever else was recorded; missing values are None. Of a trial that was recorded twice
        the latest row is taken, and the store's own before an imported one.

    Raises
    ------
    TrackingError
        The store cannot be read.

    Examples
    --------
    >>> from autoplace.tracking import Store, start_run
    >>> store = Store()
    >>> read_rows(store)
    []
    >>> trial = start_run(store, "digits", "pick digits").start_child("head-only")
    >>> trial.log_row({"trial_id": "a", "val_metric": 0.91, "test_metric": float("nan")})
    >>> read_rows(store)
    [{'trial_id': 'a', 'val_metric': 0.91, 'test_metric': None}]
    """
    if not store.exists:
        return []
    rows: dict[str, dict[str, Any]] = {}
    # What was imported is older than what was measured here, and gives way to it.
    for run in search_runs(store, f"tags.`{IMPORTED_TAG}` LIKE '%'"):
        for row in _imported_rows(store, run):
            rows[row["trial_id"]] = row
    for run in search_runs(store, f"tags.`{ROW_TAG}` LIKE '%'"):
        own = decode_row(run.data.tags)
        if own is not None:
            rows.pop(own["trial_id"], None)
            rows[own["trial_id"]] = own
    return list(rows.values())


def _imported_rows(store: Store, found: MlflowRun) -> list[dict[str, Any]]:
    import pandas as pd

    table = pd.read_parquet(Run.of(store, found).fetch(IMPORTED_FILE)).astype(object)
    rows = table.where(table.notna(), None).to_dict(orient="records")
    return [{str(key): value for key, value in row.items()} for row in rows]
