"""Brings a placement log that was made elsewhere into the store, to be learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from autoplace.tracking._probes import PROBE_TAG, log_probe
from autoplace.tracking._records import IMPORTED_FILE, IMPORTED_TAG, read_records, search_all
from autoplace.tracking._run import create_run
from autoplace.tracking._store import Store

if TYPE_CHECKING:
    import pandas as pd

_EXPERIMENT = "autoplace/imported-logs"


def import_trials(
    store: Store,
    name: str,
    trials: pd.DataFrame,
    probes: Mapping[str, Mapping[str, pd.DataFrame]],
) -> int:
    """Record what the store lacks of a log, under one run, and each of its probes under a child.

    The run counts from its last tag on, so that an import that broke off is as good as none, and
    can be made again; trials and probes that the store has are not brought twice.

    Parameters
    ----------
    name : for people, the run's name.
    trials : DataFrame (rows, columns of ROW_COLUMNS).
    probes : tables `edges`, `nodes` and `task` by key.

    Returns
    -------
    int
        How many trials were new.

    Raises
    ------
    TrackingError
        The store cannot be used.
    """
    known = set(read_records(store)["trial_id"])
    new = trials[~trials["trial_id"].isin(known)]
    if new.empty:
        return 0
    have = set()
    if store.exists:
        have = {r.data.tags[PROBE_TAG] for r in search_all(store, f"tags.`{PROBE_TAG}` LIKE '%'")}
    run = create_run(store, store.experiment_id(_EXPERIMENT), name, {"trials": len(new)}, {})
    try:
        for key in sorted(set(new["probe_key"].dropna()) & set(probes) - have):
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
