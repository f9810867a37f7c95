"""Probe tables in MLflow, beside the run that measured them; they are found by their key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from autoplace.tracking.store._run import Run
from autoplace.tracking.store._search import search_runs
from autoplace.tracking.store._store import Store
from predictors.vocabulary import LATER_PROBE_TABLES, PROBE_TABLES

if TYPE_CHECKING:
    import pandas as pd

_TAG = "autoplace.probe_key"
_FOLDER = "probe"


def log_probe(run: Run, key: str, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write a probe's tables to a run and tag it with their key.

    Parameters
    ----------
    run : Run
        The run that measured them.
    key : str
        The probe's key, by which `fetch_probe` finds it.
    tables : mapping of str to DataFrame
        Tables `edges`, `nodes` and `task`, and `sites` if the probe has measured it.

    Raises
    ------
    TrackingError
        The store fails.

    Examples
    --------
    >>> import pandas as pd
    >>> from autoplace.tracking import Store, fetch_probe, start_run
    >>> store = Store()
    >>> run = start_run(store, "digits", "collect digits")
    >>> table = pd.DataFrame({"separability": [0.4, 0.7]})
    >>> log_probe(run, "5eed", {"edges": table, "nodes": table, "task": table})
    >>> sorted(fetch_probe(store, "5eed"))
    ['edges', 'nodes', 'task']
    """
    for name in (*PROBE_TABLES, *(later for later in LATER_PROBE_TABLES if later in tables)):
        run.log_table(tables[name], f"{_FOLDER}/{name}.parquet")
    run.set_tags({_TAG: key})  # last: a run that has the tag has the tables


def find_probe(store: Store, key: str) -> Path | None:
    """Local folder with a probe's Parquet tables; None if no run of the store has `PROBE_TABLES`.

    Runs that were deleted, and runs whose artifacts were, are skipped.

    Examples
    --------
    >>> from autoplace.tracking import Store
    >>> find_probe(Store(), "no-such-key") is None
    True
    """
    if not store.exists:
        return None
    files = {f"{_FOLDER}/{name}.parquet" for name in PROBE_TABLES}
    for found in search_runs(store, f"tags.`{_TAG}` = '{key}'"):
        run = Run.of(store, found)
        if files <= run.list_files(_FOLDER):
            return run.fetch(_FOLDER)
    return None


def list_probes(store: Store) -> set[str]:
    """Keys of the probes that runs of the store hold."""
    if not store.exists:
        return set()
    return {run.data.tags[_TAG] for run in search_runs(store, f"tags.`{_TAG}` LIKE '%'")}
