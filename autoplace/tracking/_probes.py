"""Probe tables beside the run that measured them, found again by their key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from autoplace.tracking._error import TrackingError
from autoplace.tracking._records import search_all
from autoplace.tracking._run import Run
from autoplace.tracking._store import Store

if TYPE_CHECKING:
    import pandas as pd

PROBE_TAG = "autoplace.probe_key"
TABLES = ("edges", "nodes", "task")


def log_probe(run: Run, key: str, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write the probe's tables below `probe/` and tag the run with their key."""
    for name in TABLES:
        run.log_table(tables[name], f"probe/{name}.parquet")
    run.set_tags({PROBE_TAG: key})  # last: a run that has the tag has the tables


def fetch_probe(store: Store, key: str) -> dict[str, pd.DataFrame]:
    """The tables `edges`, `nodes` and `task` of a probe.

    Raises TrackingError when no run of the store holds them.
    """
    import pandas as pd

    runs = search_all(store, f"tags.`{PROBE_TAG}` = '{key}'")
    if not runs:
        raise TrackingError(
            f"no run in {store.address} holds the probe {key}; "
            "its trials cannot be learnt from, collect them again"
        )
    info = runs[0].info
    run = Run(store, info.run_id, info.experiment_id, info.run_name)
    folder = run.fetch("probe")
    return {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
