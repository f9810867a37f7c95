"""The placement log as the store holds it: trials of its own runs, and logs that were imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoplace.tracking._error import translated
from autoplace.tracking._rows import NUMBER, ROW_COLUMNS, ROW_TAG, decode_row
from autoplace.tracking._run import Run

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run as MlflowRun

    from autoplace.tracking._store import Store

# A run that holds a log made elsewhere, and the file in it.
IMPORTED_TAG = "autoplace.imported_log"
IMPORTED_FILE = "trials.parquet"


def read_records(store: Store) -> pd.DataFrame:
    """All placement-log rows in the store, over all experiments, oldest first.

    Returns
    -------
    DataFrame
        One row per trial id (the latest where one was recorded twice) and every column of the
        placement log even when there is no row; numbers missing are NaN, texts missing are None.

    Raises
    ------
    TrackingError
        The store cannot be read.
    """
    rows: dict[str, dict[str, Any]] = {}
    if store.exists:
        for run in search_all(store, f"tags.`{ROW_TAG}` LIKE '%'"):
            row = decode_row(run.data.tags)
            if row is not None:
                rows[row["trial_id"]] = row
        for run in search_all(store, f"tags.`{IMPORTED_TAG}` LIKE '%'"):
            # What ran here comes before what was brought from elsewhere.
            for row in _imported_rows(store, run):
                rows.setdefault(row["trial_id"], row)
    return _as_table(list(rows.values()))


def search_all(store: Store, condition: str) -> list[MlflowRun]:
    """Every active run of the store that meets an MLflow filter, oldest first."""
    found: list[MlflowRun] = []
    client = store.client
    with translated("read the runs", store.address):
        experiments: list[str] = []
        token = None
        while True:
            page = client.search_experiments(max_results=1000, page_token=token)
            experiments += [experiment.experiment_id for experiment in page]
            token = page.token
            if not token:
                break
        while True:
            runs = client.search_runs(
                experiments,
                condition,
                max_results=1000,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            found += runs
            token = runs.token
            if not token:
                return found


def _imported_rows(store: Store, run: MlflowRun) -> list[dict[Any, Any]]:
    import pandas as pd

    info = run.info
    file = Run(store, info.run_id, info.experiment_id, info.run_name).fetch(IMPORTED_FILE)
    return pd.read_parquet(file).to_dict(orient="records")


def _as_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame(rows, columns=list(ROW_COLUMNS))
    for column, kind in ROW_COLUMNS.items():
        if kind == NUMBER:
            table[column] = table[column].astype("float64")
        else:
            values = [None if pd.isna(value) else value for value in table[column]]
            table[column] = pd.Series(values, dtype="object", index=table.index)
    return table
