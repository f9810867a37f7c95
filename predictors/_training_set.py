"""From a placement log to what a predictor is fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ._errors import PredictorError
from ._gain_scale import Floats
from ._log import validate_log
from ._schema import SCHEMA
from .vocabulary import HEAD_ONLY

# All that is read of a log. No test column is among them, and none must ever be.
_READ = [
    "task", "family", "placement", "probe_key", "metric", "epochs", "augment", "status",
    "val_metric", "head_only_val_metric",
]  # fmt: skip


@dataclass(frozen=True)
class TrainingSet:
    """Features and measured gains, row by row.

    Parameters
    ----------
    X : DataFrame (rows, columns)
        Columns of `SCHEMA`.
    y : ndarray (rows,)
        Gain over head-only on validation, in units of the metric.
    groups : ndarray (rows,)
        The comparison a row belongs to, `task:metric:epochs`, and `:augment` where images were
        augmented: gains are comparable within it only.
    families : ndarray (rows,)
        Family of the task.
    """

    X: pd.DataFrame
    y: Floats
    groups: npt.NDArray[np.object_]
    families: npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.y)

    def select(self, rows: npt.NDArray[np.bool_]) -> Self:
        """The rows of which `rows` (rows,) is true."""
        return type(self)(self.X[rows], self.y[rows], self.groups[rows], self.families[rows])

    def union(self, other: Self) -> Self:
        """These rows and those of `other` whose group and placement are not among them."""
        ours = set(zip(self.groups, self.X["placement"], strict=True))
        theirs = zip(other.groups, other.X["placement"], strict=True)
        extra = other.select(np.array([key not in ours for key in theirs], dtype=bool))
        return type(self)(
            pd.concat([self.X, extra.X], ignore_index=True),
            np.concatenate([self.y, extra.y]),
            np.concatenate([self.groups, extra.groups]),
            np.concatenate([self.families, extra.families]),
        )

    def to_frame(self) -> pd.DataFrame:
        """The rows as one table: `SCHEMA`'s columns, then `_gain`, `_group` and `_family`."""
        extra = {"_gain": self.y, "_group": self.groups, "_family": self.families}
        return self.X.reset_index(drop=True).assign(**extra)

    @classmethod
    def from_frame(cls, table: pd.DataFrame) -> Self:
        """Read what `to_frame` wrote.

        Raises
        ------
        PredictorError
            The columns are not those of the feature schema.
        """
        rest = table.drop(columns=["_gain", "_group", "_family"])
        return cls(
            SCHEMA.check(rest),
            table["_gain"].to_numpy(dtype=float),
            table["_group"].to_numpy(dtype=object),
            table["_family"].to_numpy(dtype=object),
        )


def build_training_set(log: pd.DataFrame, features: Mapping[str, pd.DataFrame]) -> TrainingSet:
    """Join the finished trials of a log with the features of their placements.

    One row per comparison and placement: trials that differ in seed or learning rate are averaged.
    Head-only has no features and is left out; it is the zero that gains are measured from.

    Parameters
    ----------
    log : DataFrame (trials, columns)
        A placement log; rows of other statuses than `done` are left out.
    features : mapping of str to DataFrame
        `build_features` of each probe that finished trials refer to, by `probe_key`.

    Raises
    ------
    PredictorError
        A bad row (`reject_rows` lists them all), no finished trial, or a finished trial whose
        placement `features` does not describe.
    """
    validate_log(log)
    trials = log.loc[(log["status"] == "done") & (log["placement"] != HEAD_ONLY), _READ]
    if trials.empty:
        raise PredictorError("the log holds no finished trial with adapters; collect some first")
    trials = trials.assign(
        gain=trials["val_metric"].astype(float) - trials["head_only_val_metric"].astype(float),
        group=[
            f"{task}:{metric}:{int(epochs)}" + ("" if augment == "none" else f":{augment}")
            for task, metric, epochs, augment in zip(
                *(trials[name] for name in ("task", "metric", "epochs", "augment")), strict=True
            )
        ],
    )
    rows = trials.groupby(["group", "placement"], sort=True, as_index=False).agg(
        gain=("gain", "mean"), family=("family", "first"), probe_key=("probe_key", "first")
    )
    described = [
        key in features and placement in features[key].index
        for key, placement in zip(rows["probe_key"], rows["placement"], strict=True)
    ]
    if not all(described):
        first = rows[~np.array(described)].iloc[0]
        raise PredictorError(
            f"no features for {len(rows) - sum(described)} of {len(rows)} placements, e.g. "
            f"{first['placement']} under probe {first['probe_key']}; give build_features of every "
            "probe in the log, or leave those trials out"
        )
    blocks = [
        features[str(key)].loc[block["placement"]].set_axis(block.index)
        for key, block in rows.groupby("probe_key", sort=False)
    ]
    return TrainingSet(
        X=pd.concat(blocks).sort_index(),
        y=rows["gain"].to_numpy(dtype=float),
        groups=rows["group"].to_numpy(dtype=object),
        families=rows["family"].to_numpy(dtype=object),
    )
