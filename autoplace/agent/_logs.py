"""`autoplace logs`: placement logs between files and the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import predictors
from autoplace.errors import UserError
from autoplace.settings import StoreSettings
from autoplace.tracking import ProbeMissingError, Store, fetch_probe, import_rows, read_rows
from predictors.vocabulary import Status

NO_PROBE = "its probe is not in the log"


@dataclass(frozen=True)
class Transfer:
    """What came of an import or export.

    Attributes
    ----------
    rows : int
        Rows written.
    set_aside : mapping of str to int
        Rows set aside, by reason.
    place : str
        Where they were written: the store's address or a folder.

    Examples
    --------
    >>> Transfer(2, {}, "my-log").rows
    2
    """

    rows: int
    set_aside: Mapping[str, int]
    place: str


def import_log(path: str | Path, settings: StoreSettings) -> Transfer:
    """Bring the trials of a log's folder into the store, with their probes, to be learnt from.

    Raises
    ------
    PredictorError
        It is not a placement log.
    TrackingError
        The store cannot be used.

    Examples
    --------
    >>> import predictors
    >>> shipped = predictors.read_log(predictors.shipped_log())
    >>> key = shipped.trials["probe_key"].iloc[0]
    >>> few = predictors.PlacementLog(shipped.trials.head(3), {key: shipped.probes[key]})
    >>> folder = predictors.write_log(few, "few", "# three trials")
    >>> import_log(folder, StoreSettings()).rows
    3
    """
    store = Store(settings.store)
    store.check()
    log = predictors.read_log(path)
    described = log.trials["probe_key"].isin(list(log.probes))
    reasons = log.reasons()
    if not described.all():
        reasons[NO_PROBE] = int((~described).sum())
    rows = log.trials[described]
    probes = {key: log.probes[key] for key in set(rows["probe_key"].dropna())}
    count = import_rows(store, Path(path).name, rows, probes)
    return Transfer(count, reasons, store.address)


def export_log(out: str | Path, settings: StoreSettings, tasks: str = "*") -> Transfer:
    """Write the store's finished and failed trials, and their probes, as a log's folder.

    Parameters
    ----------
    out : path
        A new folder.
    settings : StoreSettings
        Which store.
    tasks : str, default="*"
        Wildcard pattern of task names.

    Raises
    ------
    UserError
        The store holds no such trial.
    PredictorError
        The folder is in use.

    Examples
    --------
    >>> import predictors
    >>> shipped = predictors.read_log(predictors.shipped_log())
    >>> key = shipped.trials["probe_key"].iloc[0]
    >>> few = predictors.PlacementLog(shipped.trials.head(3), {key: shipped.probes[key]})
    >>> folder = predictors.write_log(few, "few", "# three trials")
    >>> _ = import_log(folder, StoreSettings())
    >>> export_log("exported", StoreSettings()).rows
    3
    """
    store = Store(settings.store)
    store.check()
    records = predictors.log_table(read_rows(store))
    over = records["status"].isin([Status.DONE, Status.FAILED])
    if not over.any():
        raise UserError(
            f"{store.address} holds no finished or failed trial; 'autoplace collect' makes some"
        )
    chosen = records[over & records["task_name"].map(lambda name: fnmatch(str(name), tasks))]
    if chosen.empty:
        raise UserError(f"no trial in {store.address} is on a task that matches '{tasks}'")
    trials, aside = predictors.sort_out(chosen)
    probes = {}
    for key in sorted(set(trials["probe_key"].dropna())):
        try:
            probes[key] = fetch_probe(store, key)
        except ProbeMissingError:
            continue  # the trials are worth keeping, though nothing can be learnt from them
    log = predictors.PlacementLog(trials, probes, aside)
    predictors.write_log(log, out, predictors.log_card(log))
    return Transfer(len(trials), log.reasons(), str(out))
