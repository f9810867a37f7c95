"""`autoplace logs`: import placement logs into the store and export them from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import predictors
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._store import open_store
from autoplace.agent.steps._training_rows import FOREIGN, read_log_rows
from autoplace.errors import UserError
from autoplace.settings import StoreSettings
from autoplace.tracking import ProbeMissingError, fetch_probe, import_rows
from predictors.vocabulary import Status

NO_PROBE = "its probe is not in the log"


@dataclass(frozen=True)
class Transfer:
    """The result of an import or export.

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
    """Import the trials of a log, with their probes, into the store to learn from.

    Raises
    ------
    PredictorError
        `path` is not a placement log.
    TrackingError
        The store cannot be used.

    Examples
    --------
    >>> import predictors
    >>> shipped = predictors.read_log(predictors.shipped_log())
    >>> key = shipped.trials["probe_key"].iloc[-1]
    >>> trials = shipped.trials[shipped.trials["probe_key"] == key].head(3)
    >>> few = predictors.PlacementLog(trials, {key: shipped.probes[key]})
    >>> folder = predictors.write_log(few, "few", "# three trials")
    >>> import_log(folder, StoreSettings()).rows
    3
    """
    store = open_store(settings.store, Progress())
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
    """Write the store's finished and failed trials, with their probes, to a log folder.

    Parameters
    ----------
    out : path
        A new folder.
    settings : StoreSettings
        The store to export from.
    tasks : str, default="*"
        Wildcard pattern of task names.

    Raises
    ------
    UserError
        The store has no such trial.
    PredictorError
        The folder is not empty.

    Examples
    --------
    >>> import predictors
    >>> shipped = predictors.read_log(predictors.shipped_log())
    >>> key = shipped.trials["probe_key"].iloc[-1]
    >>> trials = shipped.trials[shipped.trials["probe_key"] == key].head(3)
    >>> few = predictors.PlacementLog(trials, {key: shipped.probes[key]})
    >>> folder = predictors.write_log(few, "few", "# three trials")
    >>> _ = import_log(folder, StoreSettings())
    >>> export_log("exported", StoreSettings()).rows
    3
    """
    store = open_store(settings.store, Progress(), write=False)
    records, foreign = read_log_rows(store)
    over = records["status"].isin([Status.DONE, Status.FAILED])
    if not over.any():
        raise UserError(
            f"{store.address} has no finished or failed trial; run 'autoplace collect' first"
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
            continue  # worth exporting, although nothing can be learnt from its trials
    log = predictors.PlacementLog(trials, probes, aside)
    predictors.write_log(log, out, predictors.log_card(log))
    reasons = log.reasons() | ({FOREIGN: foreign} if foreign else {})
    return Transfer(len(trials), reasons, str(out))
