"""Brings rows and probes that were recorded elsewhere into the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from autoplace.tracking.store._probes import list_probes, log_probe
from autoplace.tracking.store._rows import IMPORTED_FILE, IMPORTED_TAG, read_rows
from autoplace.tracking.store._run import create_run
from autoplace.tracking.store._store import Store

if TYPE_CHECKING:
    import pandas as pd

_EXPERIMENT = "autoplace/imported-logs"


def import_rows(
    store: Store,
    name: str,
    rows: pd.DataFrame,
    probes: Mapping[str, Mapping[str, pd.DataFrame]],
) -> int:
    """Record the rows and probes of a log that the store lacks.

    The rows become one table in a run of their own, and each probe goes into a child of that run.
    The run is tagged last, so that `read_rows` ignores an interrupted import and it can be
    repeated.

    Parameters
    ----------
    store : Store
        Where to record them.
    name : str
        Name of the run, for people.
    rows : DataFrame
        One row per trial; the column `trial_id` must be there, others are kept as they are.
    probes : mapping of str to mapping of str to DataFrame
        Tables `edges`, `nodes` and `task` of the probes that the rows refer to, by their key.

    Returns
    -------
    int
        How many rows were new. If none was, nothing is recorded.

    Raises
    ------
    TrackingError
        The store cannot be used.

    Examples
    --------
    >>> import pandas as pd
    >>> from autoplace.tracking import Store, read_rows
    >>> store = Store()
    >>> log = pd.DataFrame({"trial_id": ["a", "b"], "val_metric": [0.91, None]})
    >>> import_rows(store, "their log", log, probes={})
    2
    >>> import_rows(store, "their log again", log, probes={})
    0
    >>> read_rows(store)[1]
    {'trial_id': 'b', 'val_metric': None}
    """
    known = {row["trial_id"] for row in read_rows(store)}
    new = rows[~rows["trial_id"].isin(known)]
    if new.empty:
        return 0
    missing = sorted(set(probes) - list_probes(store))
    run = create_run(store, store.experiment_id(_EXPERIMENT), name, {"trials": len(new)}, {})
    try:
        for key in missing:
            child = run.start_child(f"probe {key}")
            log_probe(child, key, probes[key])
            child.finish()
        run.log_table(new, IMPORTED_FILE)
        run.set_tags({IMPORTED_TAG: name})
    except BaseException:
        run.finish("FAILED")
        raise
    run.finish()
    return len(new)
