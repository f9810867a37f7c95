"""The columns of the placement log, and typed tables with these columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from .._errors import PredictorError
from ..vocabulary import FIRST_OPTIMISER, METRICS, FamilySource, Protocol, Status

LOG_SCHEMA_VERSION = 7

Need = Literal["always", "done", "optional"]


@dataclass(frozen=True)
class LogColumn:
    """One column of the placement log.

    Parameters
    ----------
    name : str
        Name of the column.
    dtype : str
        `"str"`, `"int64"` or `"float64"`. In a table, numbers are float64, because they may be
        missing.
    need : str
        Which rows must have a value: all (`"always"`), finished ones (`"done"`) or none
        (`"optional"`).
    meaning : str
        Description of the column, for people.
    outcome : bool, default=False
        Whether the trial measured the value; only finished trials have one.
    low, high : float
        The range of a number, both ends included.
    of_metric : bool, default=False
        Whether the value is a metric. Where the metric is log-loss, it is in `[-inf, 0]` instead.

    Examples
    --------
    >>> import predictors
    >>> column = next(c for c in predictors.LOG_COLUMNS if c.name == "val_metric")
    >>> column.need, column.outcome, column.low, column.high
    ('done', True, 0.0, 1.0)
    """

    name: str
    dtype: Literal["str", "int64", "float64"]
    need: Need
    meaning: str
    outcome: bool = False
    low: float = -np.inf
    high: float = np.inf
    of_metric: bool = False


def _text(name: str, need: Need, meaning: str) -> LogColumn:
    return LogColumn(name, "str", need, meaning)


def _count(name: str, need: Need, meaning: str, low: float = 0) -> LogColumn:
    return LogColumn(name, "int64", need, meaning, low=low)


def _share(name: str, need: Need, meaning: str, outcome: bool = False) -> LogColumn:
    return LogColumn(name, "float64", need, meaning, outcome, 0.0, 1.0)


def _metric(name: str, need: Need, meaning: str, outcome: bool = False) -> LogColumn:
    return LogColumn(name, "float64", need, meaning, outcome, 0.0, 1.0, of_metric=True)


def _positive(name: str, need: Need, meaning: str, outcome: bool = False) -> LogColumn:
    return LogColumn(name, "float64", need, meaning, outcome, 0.0)


LOG_COLUMNS = (
    _count("schema_version", "always", "LOG_SCHEMA_VERSION of the release that wrote the row"),
    _text("trial_id", "always", "unique name of the trial"),
    _text("task", "always", "fingerprint of data, split, label space, backbone and input size"),
    _text("task_name", "always", "name of the task for people"),
    _text("family", "always", "source or generator of the data; never split between folds"),
    _text("family_source", "optional", "one of " + ", ".join(FamilySource)),
    _text("image_digests", "optional", "digests of sampled images of the data, space-separated"),
    _text("group", "optional", "group of tasks within the family"),
    _text("backbone", "always", "name of the backbone"),
    _text("backbone_sha256", "always", "SHA-256 of the backbone's weights"),
    _count("n_nodes", "always", "nodes of the backbone", low=1),
    _text("probe_key", "optional", "which probe tables describe the task to a predictor"),
    _text("placement", "always", "canonical text form; 'head-only' is the empty placement"),
    _text("adapter_kind", "optional", "kind of the adapters; none for head-only"),
    _count("n_edges", "always", "number of edges"),
    _count("parameters", "done", "trainable parameters"),
    _positive("learning_rate", "done", "peak learning rate, of the head if `rates` has others"),
    _text("rates", "optional", "peak learning rates by adapter kind where they differ, as JSON"),
    _text("protocol", "always", "how the learning rate was chosen: " + ", ".join(Protocol)),
    _text(
        "optimiser",
        "always",
        "AdamW with its beta2, and the warm-up as a share of the steps",
    ),
    _positive("weight_decay", "done", "weight decay"),
    _count("batch_size", "done", "images per step", low=1),
    _count("epochs", "done", "passes over the training images", low=1),
    _text("augment", "done", "random views of training images, and how many; 'none' for none"),
    _text("precision", "done", "what the trial computed in, and its cache where that differs"),
    _text("remedy", "optional", "how it ran again after a failure; its rates are those it ran at"),
    _count("seed", "always", "seed of the trial"),
    _text("status", "always", "one of " + ", ".join(Status)),
    _text("failure_reason", "optional", "why a failed trial failed; failed trials only"),
    _text(
        "metric",
        "always",
        f"one of {', '.join(METRICS)} (minus the mean cross-entropy, so higher is better)",
    ),
    _count("n_val", "optional", "validation images the outcome was measured on", low=1),
    _metric("val_metric", "done", "metric on validation after the last epoch", outcome=True),
    _share("val_accuracy", "optional", "accuracy on validation, last epoch", outcome=True),
    _positive("val_loss", "optional", "loss on validation, last epoch", outcome=True),
    _count("n_measured", "optional", "images of the measurement split, where there is one", low=1),
    _metric("measured_metric", "optional", "metric on the measurement split", outcome=True),
    _share("measured_accuracy", "optional", "accuracy on the measurement split", outcome=True),
    _positive("measured_loss", "optional", "loss on the measurement split", outcome=True),
    _metric("test_metric", "optional", "metric on test; no predictor reads it", outcome=True),
    _share("test_accuracy", "optional", "accuracy on test; no predictor reads it", outcome=True),
    _metric("head_only_val_metric", "done", "val_metric of head-only under the same protocol"),
    _share("head_only_val_accuracy", "optional", "val_accuracy of head-only"),
    _positive("head_only_val_loss", "optional", "val_loss of head-only"),
    _metric("head_only_measured_metric", "optional", "measured_metric of head-only"),
    _share("head_only_measured_accuracy", "optional", "measured_accuracy of head-only"),
    _positive("head_only_measured_loss", "optional", "measured_loss of head-only"),
    _metric("head_only_test_metric", "optional", "test_metric of head-only"),
    _share("head_only_test_accuracy", "optional", "test_accuracy of head-only"),
    _text("chosen_by", "optional", "what proposed the placement"),
    _share("propensity", "optional", "probability with which it was proposed"),
    _positive("seconds", "done", "wall seconds of the trial"),
    _text("versions", "optional", "library versions, a JSON object"),
    _text("git_commit", "optional", "commit of the code that ran"),
)


COLUMN_NAMES = tuple(column.name for column in LOG_COLUMNS)

# Columns by the schema version that added them, with the values for older rows.
_SINCE: dict[int, dict[str, str | None]] = {
    2: {"augment": "none", "precision": "float32"},
    3: {"family_source": None, "image_digests": None, "n_val": None},
    4: {"protocol": Protocol.TABLE_RATE.value},
    5: dict.fromkeys(
        (
            "rates", "n_measured", "measured_metric", "measured_accuracy", "measured_loss",
            "head_only_measured_metric", "head_only_measured_accuracy", "head_only_measured_loss",
        )
    ),
    6: {"remedy": None},
    7: {"optimiser": FIRST_OPTIMISER},
}  # fmt: skip


def log_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make the typed table of a placement log from rows as a store keeps them.

    Parameters
    ----------
    rows : iterable of mapping of str to value
        One row per trial; a row may leave columns out.

    Returns
    -------
    DataFrame (rows, columns)
        Every column of `LOG_COLUMNS`, in that order, even if there are no rows. Numbers are
        float64, and NaN if missing or unreadable. Texts are None if missing. Rows of an older
        schema are upgraded.

    Raises
    ------
    PredictorError
        A row has a key that is not a column of the placement log.

    Examples
    --------
    >>> import predictors
    >>> table = predictors.log_table([{"schema_version": 1, "trial_id": "a", "val_metric": 0.5}])
    >>> table[["schema_version", "trial_id", "val_metric", "augment", "seconds"]]
       schema_version trial_id  val_metric augment  seconds
    0             7.0        a         0.5    none      NaN
    """
    held = list(rows)
    unknown = sorted({str(key) for row in held for key in row} - set(COLUMN_NAMES))
    if unknown:
        raise PredictorError(
            f"the placement log has no column {', '.join(unknown)} in schema {LOG_SCHEMA_VERSION}; "
            "remove it, or update autoplace if a newer release wrote the row"
        )
    raw = {name: pd.Series([row.get(name) for row in held], dtype=object) for name in COLUMN_NAMES}
    return _typed(upgrade_log(pd.DataFrame(raw)))


def upgrade_log(log: pd.DataFrame) -> pd.DataFrame:
    """Rewrite rows of an older schema as this release would have written them.

    Parameters
    ----------
    log : DataFrame (rows, columns)
        Columns of `LOG_COLUMNS`, without those that are newer than its rows.

    Returns
    -------
    DataFrame (rows, columns)
        Schema 2 added `augment` and `precision`, which are filled in. Schema 3 added
        `family_source`, `image_digests` and `n_val`, which are missing in older rows. Schema 4
        added `protocol`; older releases took learning rates from a table by number of edges, so it
        is `table-rate` in older rows. Schema 5 added `rates` and what is measured on the
        measurement split, and schema 6 `remedy`; they are missing in older rows. Schema 7 added
        `optimiser`; older rows have `FIRST_OPTIMISER`. Rows of an unknown version do not change;
        `reject_rows` finds them.

    Examples
    --------
    >>> import pandas as pd
    >>> import predictors
    >>> predictors.upgrade_log(pd.DataFrame({"schema_version": [1, 2, 99]}))["schema_version"]
    0     7
    1     7
    2    99
    Name: schema_version, dtype: int64
    """
    version = log["schema_version"]
    new: dict[str, pd.Series[Any]] = {}
    for since, values in _SINCE.items():
        old = version.isin(range(1, since))
        for name, value in values.items() if old.any() else ():
            empty = pd.Series(None, index=log.index, dtype=object)
            column = log[name].astype(object) if name in log.columns else empty
            new[name] = column.mask(old, np.nan if value is None else value)
    known = version.isin(range(1, LOG_SCHEMA_VERSION))
    upgraded = log.assign(schema_version=version.mask(known, LOG_SCHEMA_VERSION), **new)
    return _typed(upgraded, list(new))


def _typed(table: pd.DataFrame, names: Iterable[str] = COLUMN_NAMES) -> pd.DataFrame:
    """Convert the columns `names` to float64 with NaN, or to texts with None."""
    dtypes = {column.name: column.dtype for column in LOG_COLUMNS}
    columns: dict[str, pd.Series[Any]] = {}
    for name in names:
        if dtypes[name] == "str":
            column = table[name].astype(object)
            columns[name] = column.where(column.notna(), None)
        else:
            columns[name] = pd.to_numeric(table[name], errors="coerce").astype("float64")
    return table.assign(**columns)
