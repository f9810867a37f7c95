"""Placement logs between files and the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import predictors
from autoplace.errors import UserError
from autoplace.settings import StoreSettings
from autoplace.tracking import Store, TrackingError, fetch_probe, import_trials, read_records

NO_PROBE = "its probe is not in the log"


@dataclass(frozen=True)
class Transfer:
    """What came of an import or export: rows taken, rows set aside by reason, and where to."""

    rows: int
    set_aside: Mapping[str, int]
    place: str


def import_log(path: str | Path, settings: StoreSettings) -> Transfer:
    """Bring the trials of a log's folder into the store, with their probes, to be learnt from.

    Raises PredictorError for what is not a placement log, and TrackingError.
    """
    store = Store(settings.store)
    store.check()
    log = predictors.read_log(path)
    described = log.trials["probe_key"].isin(list(log.probes))
    reasons = log.reasons()
    if not described.all():
        reasons[NO_PROBE] = int((~described).sum())
    rows = import_trials(store, Path(path).name, log.trials[described], log.probes)
    return Transfer(rows, reasons, store.address)


def export_log(out: str | Path, settings: StoreSettings, tasks: str = "*") -> Transfer:
    """Write the store's finished and failed trials, and their probes, as a log's folder.

    tasks: wildcard pattern of task names.
    Raises UserError when the store holds no such trial, PredictorError for a folder in use.
    """
    store = Store(settings.store)
    store.check()
    records = read_records(store)
    over = records["status"].isin(["done", "failed"])
    if not over.any():
        raise UserError(
            f"{store.address} holds no trial that is over; 'autoplace collect' makes some"
        )
    chosen = records[over & records["task_name"].map(lambda name: fnmatch(str(name), tasks))]
    if chosen.empty:
        raise UserError(f"no trial in {store.address} is on a task that matches '{tasks}'")
    trials, aside = predictors.sort_out(chosen)
    probes = {}
    for key in sorted(set(trials["probe_key"].dropna())):
        try:
            probes[key] = fetch_probe(store, key)
        except TrackingError:
            continue  # the trials are worth keeping, though nothing can be learnt from them
    log = predictors.PlacementLog(trials, probes, aside)
    predictors.write_log(log, out, predictors.log_card(log))
    return Transfer(len(trials), log.reasons(), str(out))
