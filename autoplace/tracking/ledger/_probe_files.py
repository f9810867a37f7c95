"""A probe's tables in a run folder, which also serve when MLflow lacks them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from autoplace.tracking._error import ProbeMissingError, TrackingError
from autoplace.tracking.ledger._events import ProbeEvent
from autoplace.tracking.ledger._ledger import LEDGER_FILE, Ledger
from autoplace.tracking.store import RUNS, Store, find_probe
from predictors.vocabulary import LATER_PROBE_TABLES, PROBE_TABLES

if TYPE_CHECKING:
    import pandas as pd

_FOLDER = "probe"


def fetch_probe(store: Store, key: str) -> dict[str, pd.DataFrame]:
    """Read the tables of a probe from MLflow, or else from the run folder that still holds them.

    A run that was deleted in MLflow takes its probe with it; the run folder stays.

    Parameters
    ----------
    store : Store
        Where to look; the run folders are those in its local folder.
    key : str
        The probe's key.

    Returns
    -------
    dict of str to DataFrame
        Tables `edges`, `nodes` and `task`, and `sites` if the probe has measured it.

    Raises
    ------
    ProbeMissingError
        Neither holds the probe undamaged.
    TrackingError
        The store cannot be read.

    Examples
    --------
    >>> import pandas as pd
    >>> from autoplace.tracking import Journal, Store
    >>> store = Store()
    >>> journal = Journal(store, "digits", "pick digits", {}, {}, on_loss=print)
    >>> table = pd.DataFrame({"separability": [0.4, 0.7]})
    >>> journal.record_probe("5eed", {"edges": table, "nodes": table, "task": table})
    >>> store.client.delete_run(journal.run.run_id)
    >>> fetch_probe(store, "5eed")["nodes"]["separability"].tolist()
    [0.4, 0.7]
    """
    problem = f"it is neither in {store.address} nor in a run folder of {store.folder}"
    folder = find_probe(store, key)
    if folder is not None:
        try:
            return _read(folder)
        except TrackingError as error:
            problem = str(error)
    for run_folder in run_folders(store):
        try:
            tables = read_probe(run_folder, key)
        except TrackingError as error:  # its ledger or a table is damaged
            problem = str(error)
            continue
        if tables is not None:
            return tables
    raise ProbeMissingError(
        f"the probe {key} cannot be read: {problem}; 'autoplace collect' measures it again"
    )


def run_folders(store: Store) -> Iterator[Path]:
    """Run folders of the store that hold a ledger, in the order of their names."""
    return (path.parent for path in sorted(store.folder.glob(f"{RUNS}/*/{LEDGER_FILE}")))


def write_probe(run_folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write a probe's tables; the ledger's event comes after, so that it vouches for them."""
    folder = run_folder / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROBE_TABLES:
        tables[name].to_parquet(folder / f"{name}.parquet", index=False)
    for name in LATER_PROBE_TABLES:
        path = folder / f"{name}.parquet"
        if name in tables:
            tables[name].to_parquet(path, index=False)
        else:
            path.unlink(missing_ok=True)  # of another probe


def read_probe(run_folder: Path, key: str) -> dict[str, pd.DataFrame] | None:
    """Tables of the probe `key`; None if this run folder does not hold them."""
    folder = run_folder / _FOLDER
    if not all((folder / f"{name}.parquet").is_file() for name in PROBE_TABLES):
        return None
    # A run folder has room for one probe: the last.
    keys = [
        event.probe_key
        for event in Ledger(run_folder / LEDGER_FILE).read()
        if isinstance(event, ProbeEvent)
    ]
    return _read(folder) if keys[-1:] == [key] else None


def _read(folder: Path) -> dict[str, pd.DataFrame]:
    import pandas as pd

    paths = {name: folder / f"{name}.parquet" for name in (*PROBE_TABLES, *LATER_PROBE_TABLES)}
    held = [name for name in paths if name in PROBE_TABLES or paths[name].is_file()]
    try:
        return {name: pd.read_parquet(paths[name]) for name in held}
    except (OSError, ValueError) as error:
        raise TrackingError(
            f"the probe's tables in {folder} cannot be read: {error}; remove them"
        ) from error
