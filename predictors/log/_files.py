"""A placement log on disk: Parquet tables of trials and of their probes, a card, checksums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from .._checked_folder import read_folder, write_folder
from .._errors import PredictorError
from .._parquet import read_parquet
from ..vocabulary import LATER_PROBE_TABLES, PROBE_TABLES
from ._schema import COLUMN_NAMES, LOG_SCHEMA_VERSION
from ._sort_out import sort_out

TRIALS, CARD = "trials.parquet", "card.md"
FILES = (TRIALS, *(f"{name}.parquet" for name in PROBE_TABLES), CARD)
LATER_FILES = tuple(f"{name}.parquet" for name in LATER_PROBE_TABLES)
WHAT, REMEDY = "placement log", "restore it or export it again"
KEY = "probe_key"
_SHIPPED = Path(__file__).parents[1] / "shipped" / "log"


@dataclass(frozen=True)
class PlacementLog:
    """Trials, and the probes that describe their tasks to a predictor.

    Parameters
    ----------
    trials : DataFrame (rows, columns)
        Columns of `LOG_COLUMNS`; every row is valid.
    probes : mapping of str to mapping of str to DataFrame
        The tables `edges`, `nodes` and `task` of each probe, and `sites` of those that have
        measured it, by the probe's key.
    set_aside : DataFrame (rows, 3)
        `row`, `trial_id` and `reason` of rows in the file that are not in `trials`.

    Examples
    --------
    >>> import predictors
    >>> log = predictors.read_log(predictors.shipped_log())
    >>> len(log.trials), len(log.probes), len(log.set_aside)
    (1440, 40, 0)
    """

    trials: pd.DataFrame
    probes: Mapping[str, Mapping[str, pd.DataFrame]]
    set_aside: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["row", "trial_id", "reason"])
    )

    def reasons(self) -> dict[str, int]:
        """Count the rows that were set aside, by reason, the most frequent first."""
        counts = self.set_aside["reason"].value_counts()
        return {str(reason): int(count) for reason, count in counts.items()}


def shipped_log() -> Path:
    """Return the folder of the placement log that is shipped with this package.

    Returns
    -------
    Path
        A folder that `read_log` reads.

    Examples
    --------
    >>> import predictors
    >>> predictors.shipped_log().name
    'log'
    """
    return _SHIPPED


def write_log(log: PlacementLog, folder: str | Path, card: str) -> Path:
    """Write a log to a new folder.

    Parameters
    ----------
    log : PlacementLog
        Trials and probes.
    folder : path
        New or empty.
    card : str
        Markdown about the data, such as the result of `log_card`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    PredictorError
        The folder is not empty.

    Examples
    --------
    >>> import tempfile
    >>> import predictors
    >>> shipped = predictors.read_log(predictors.shipped_log())
    >>> few = predictors.PlacementLog(shipped.trials.head(5), {})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = predictors.write_log(few, folder, predictors.log_card(few))
    ...     len(predictors.read_log(written).trials)
    5
    """
    contents = {TRIALS: _to_parquet(log.trials[list(COLUMN_NAMES)])}
    for name in (*PROBE_TABLES, *LATER_PROBE_TABLES):
        tables = [
            tables[name].assign(**{KEY: key})
            for key, tables in log.probes.items()
            if name in PROBE_TABLES or name in tables
        ]
        if tables or name in PROBE_TABLES:
            table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({KEY: []})
            contents[f"{name}.parquet"] = _to_parquet(_narrowed(table))
    contents[CARD] = card.encode()
    return write_folder(folder, contents, WHAT)


def read_log(path: str | Path) -> PlacementLog:
    """Read a placement log; bad rows are set aside.

    Parameters
    ----------
    path : path
        A folder that `write_log` wrote, or a Parquet file of trials alone.

    Returns
    -------
    PlacementLog
        Rows of an older schema are upgraded; `sort_out` says which rows are kept.

    Raises
    ------
    PredictorError
        There is no such log, it is damaged, its columns are not those of a placement log, or all
        its rows have a schema that this release does not know.

    Examples
    --------
    >>> import predictors
    >>> log = predictors.read_log(predictors.shipped_log())
    >>> sorted(set(log.trials["backbone"]))
    ['fashion-vit8', 'starter']
    """
    path = Path(path)
    if path.is_dir():
        contents = read_folder(path, FILES, WHAT, REMEDY, LATER_FILES)
    elif path.is_file():
        contents = {TRIALS: path.read_bytes()}
    else:
        raise PredictorError(f"no placement log at {path}; give its folder or a Parquet file")
    trials = _from_parquet(contents[TRIALS], path)
    _check_schema(trials, path)
    try:
        kept, aside = sort_out(trials)
    except PredictorError as error:
        raise PredictorError(f"{path}: {error}") from None
    probes: dict[str, dict[str, pd.DataFrame]] = {}
    for name in (*PROBE_TABLES, *LATER_PROBE_TABLES):
        if f"{name}.parquet" in contents:
            table = _from_parquet(contents[f"{name}.parquet"], path)
            for key, rows in table.groupby(KEY, sort=False):
                part = rows.drop(columns=KEY).reset_index(drop=True)
                probes.setdefault(str(key), {})[name] = part
    return PlacementLog(kept, probes, aside)


def _check_schema(trials: pd.DataFrame, path: Path) -> None:
    if "schema_version" not in trials.columns:
        return  # `sort_out` reports all missing columns
    versions = sorted({str(version) for version in trials["schema_version"]})
    known = {str(version) for version in range(1, LOG_SCHEMA_VERSION + 1)}
    if versions and not known & {version.removesuffix(".0") for version in versions}:
        raise PredictorError(
            f"{path} is a placement log of schema {', '.join(versions)}; this release reads up to "
            f"{LOG_SCHEMA_VERSION}; update autoplace or export the log again"
        )


def _narrowed(table: pd.DataFrame) -> pd.DataFrame:
    """Drop digits that are not known: half precision for sketches, single for other floats."""
    kinds = {
        name: "float16" if str(name).startswith("sketch_") else "float32"
        for name in table.select_dtypes("float64").columns
    }
    return table.astype(kinds)


def _to_parquet(table: pd.DataFrame) -> bytes:
    return bytes(table.to_parquet(index=False, compression="zstd", compression_level=19))


def _from_parquet(data: bytes, path: Path) -> pd.DataFrame:
    try:
        table = read_parquet(data)
    except (KeyError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise PredictorError(
            f"{path} is not a Parquet file of a placement log: {reason}; give another file"
        ) from error
    narrow = table.select_dtypes(["float16", "float32"]).columns
    return table.astype(dict.fromkeys(narrow, "float64"))
