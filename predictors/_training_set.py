"""From a placement log to what a predictor is fitted on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ._errors import PredictorError
from ._gain_scale import Floats
from ._protocols import comparisons, protocol_of
from ._schema import SCHEMA
from .log import settle_families, validate_log
from .vocabulary import HEAD_ONLY, Protocol, Status

# All that is read of a log. No test column is among them, and none must ever be.
_READ = [
    "trial_id", "task", "family", "placement", "probe_key", "metric", "epochs", "augment",
    "optimiser", "protocol", "learning_rate", "status", "val_metric", "head_only_val_metric",
    "measured_metric", "head_only_measured_metric",
]  # fmt: skip

UNKNOWN_TRIAL = "unknown"


@dataclass(frozen=True)
class TrainingSet:
    """Features and measured gains, row by row.

    Parameters
    ----------
    X : DataFrame (rows, columns)
        Columns of `SCHEMA`.
    gains : ndarray (rows,) of dict of str to float
        Gain over head-only of each trial that a row averages, by trial id, in units of the metric:
        on the measurement split if the trial was measured there, else on validation. One trial at
        least.
    groups : ndarray (rows,)
        The comparison a row belongs to: `task:metric:epochs`, then what `comparisons` adds. Gains
        are comparable only within one.
    families : ndarray (rows,)
        Family of the task.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> len(data), len(set(data.groups)), sorted(set(data.families))[:3]
    (1120, 32, ['cells', 'charts', 'digits'])
    >>> digits = data.select(data.families == "digits")
    >>> len(digits), len(digits.union(digits))
    (70, 70)
    """

    X: pd.DataFrame
    gains: npt.NDArray[np.object_]
    groups: npt.NDArray[np.object_]
    families: npt.NDArray[np.object_]

    @classmethod
    def of_gains(
        cls,
        X: pd.DataFrame,
        y: Floats,
        groups: npt.NDArray[np.object_],
        families: npt.NDArray[np.object_],
    ) -> Self:
        """Make a training set from one gain per row, of trials whose ids are not known.

        Parameters
        ----------
        X, groups, families
            As in the constructor.
        y : ndarray (rows,)
            Gains. A row counts as one trial, always the same one when sets are united.

        Returns
        -------
        TrainingSet
        """
        gains = np.empty(len(y), dtype=object)
        gains[:] = [{UNKNOWN_TRIAL: gain} for gain in np.asarray(y, dtype=float).tolist()]
        return cls(X, gains, groups, families)

    @cached_property
    def y(self) -> Floats:
        """Mean gain of each row, (rows,); the same to the last bit in any order of its trials."""
        return np.array([math.fsum(each.values()) / len(each) for each in self.gains], dtype=float)

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Number of trials that each row averages, (rows,)."""
        return np.array([len(each) for each in self.gains], dtype=np.int64)

    @property
    def tasks(self) -> list[str]:
        """Task of each row."""
        return [group.partition(":")[0] for group in self.groups]

    @property
    def protocols(self) -> npt.NDArray[np.object_]:
        """Protocol of each row, (rows,)."""
        return np.array([protocol_of(group) for group in self.groups], dtype=object)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.gains)

    def fair(self) -> Self:
        """Return the rows that predictors learn from once there are fair trials.

        Returns
        -------
        TrainingSet
            Without rows of `table-rate`, under which placements of different sizes had different
            learning rates, if there are rows of `found-rate` and the rest has two families at
            least, of which one can be left out; else all rows.

        Examples
        --------
        >>> import predictors
        >>> old = predictors.load_training_set(predictors.shipped_folder())
        >>> len(old.fair()) == len(old)
        True
        """
        protocols = self.protocols
        kept = protocols != Protocol.TABLE_RATE
        if not (protocols == Protocol.FOUND_RATE).any() or len(set(self.families[kept])) < 2:
            return self
        return self.select(kept)

    def select(self, rows: npt.NDArray[np.bool_]) -> Self:
        """Return the rows of which `rows` (rows,) is true."""
        chosen = type(self)(self.X[rows], self.gains[rows], self.groups[rows], self.families[rows])
        # Means of a million rows are not computed again for each family that is left out.
        chosen.__dict__.update(y=self.y[rows], counts=self.counts[rows])
        return chosen

    def union(self, other: Self) -> Self:
        """Unite two sets: rows of the same group and placement become one row of all their trials.

        A trial that both hold, by its id, counts once, with the outcome that `other` has. So rows
        that were made from a store earlier can be united with the same store as it is now: what is
        new or was corrected there is learnt, and nothing counts twice. A task that both hold has
        the family that `other` says.

        Parameters
        ----------
        other : TrainingSet
            The more recent one.

        Returns
        -------
        TrainingSet
            The rows of this set, in order, then those that only `other` has.
        """
        theirs = {key: row for row, key in enumerate(other._keys())}
        gains = self.gains.copy()
        extra = np.ones(len(other), dtype=bool)
        for row, key in enumerate(self._keys()):
            if key in theirs:
                gains[row] = _united(gains[row], other.gains[theirs[key]])
                extra[theirs[key]] = False
        rest = other.select(extra)
        families = dict(zip(self.tasks, self.families, strict=True))
        families |= dict(zip(other.tasks, other.families, strict=True))
        return type(self)(
            pd.concat([self.X, rest.X], ignore_index=True),
            np.concatenate([gains, rest.gains]),
            np.concatenate([self.groups, rest.groups]),
            np.array([families[t] for t in self.tasks + rest.tasks], dtype=object),
        )

    def in_families_of(self, other: Self) -> Self:
        """Return these rows with the families that `other` says of their tasks."""
        known = dict(zip(other.tasks, other.families, strict=True))
        own = zip(self.tasks, self.families, strict=True)
        families = np.array([known.get(task, family) for task, family in own], dtype=object)
        return type(self)(self.X, self.gains, self.groups, families)

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as one table.

        Returns
        -------
        DataFrame (rows, columns)
            The columns of `SCHEMA`, then `_gain` (mean), `_count` (trials averaged), `_trials`
            (gain of each trial by its id, JSON), `_group` and `_family`.
        """
        extra: dict[str, Any] = {
            "_gain": self.y,
            "_count": self.counts,
            "_trials": [json.dumps(each) for each in self.gains],
            "_group": self.groups,
            "_family": self.families,
        }
        return self.X.reset_index(drop=True).assign(**extra)

    @classmethod
    def from_frame(cls, table: pd.DataFrame) -> Self:
        """Read what `to_frame` wrote.

        Parameters
        ----------
        table : DataFrame (rows, columns)
            Of `to_frame`, of this release or an older one, which kept means alone: then each row
            counts as one trial.

        Returns
        -------
        TrainingSet

        Raises
        ------
        PredictorError
            The columns are not those of the feature schema.
        """
        own = ["_gain", "_count", "_trials", "_group", "_family"]
        X = SCHEMA.check(table.drop(columns=own, errors="ignore"))
        groups, families = (table[name].to_numpy(dtype=object) for name in ("_group", "_family"))
        if "_trials" not in table.columns:
            return cls.of_gains(X, table["_gain"].to_numpy(dtype=float), groups, families)
        gains = np.empty(len(table), dtype=object)
        gains[:] = [json.loads(text) for text in table["_trials"]]
        return cls(X, gains, groups, families)

    def _keys(self) -> list[tuple[str, str]]:
        """Group and placement of each row."""
        return list(zip(self.groups, self.X["placement"], strict=True))


def _united(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    """Gains by trial of both; a mean of trials without ids gives way to trials with them."""
    gains = {**ours, **theirs}
    known = {trial: gain for trial, gain in gains.items() if trial != UNKNOWN_TRIAL}
    return known or gains


def _gain(trials: pd.DataFrame, split: str) -> pd.Series[Any]:
    """Gain over head-only on a split, in units of the metric; NaN where it was not measured."""
    gains: pd.Series[Any] = trials[f"{split}_metric"].astype(float) - trials[
        f"head_only_{split}_metric"
    ].astype(float)
    return gains


def build_training_set(log: pd.DataFrame, features: Mapping[str, pd.DataFrame]) -> TrainingSet:
    """Join the finished trials of a log with the features of their placements.

    One row per comparison and placement; trials that differ in seed are averaged. A trial that was
    measured on a measurement split has the gain that was measured there, because rates are chosen
    on validation and few images measure little; any other has its gain on validation. Trials under
    different protocols or optimisers, or with different given learning rates, belong to different
    comparisons.
    Head-only has no features and is left out; it is the zero that gains are measured from.

    Parameters
    ----------
    log : DataFrame (trials, columns)
        A placement log; rows of other statuses than `done` are left out. Families are settled
        (`settle_families`).
    features : mapping of str to DataFrame
        `build_features` of each probe that finished trials refer to, by `probe_key`.

    Returns
    -------
    TrainingSet

    Raises
    ------
    PredictorError
        A bad row (`reject_rows` lists them all), no finished trial, or a finished trial whose
        placement `features` does not describe.

    Examples
    --------
    >>> import predictors
    >>> shipped = predictors.read_log(predictors.shipped_log())
    >>> placement = {"placement": "3>3@bottleneck:r=48", "source": 3, "target": 3, "rank": 48}
    >>> log = shipped.trials[shipped.trials["placement"] == placement["placement"]]
    >>> log = log[log["task_name"] == "digits"]
    >>> table = pd.DataFrame([placement]).assign(parameters=6192, unroll=2)
    >>> table = table.assign(adapter_kind="bottleneck", maps="")
    >>> features = {
    ...     row.probe_key: predictors.build_features(
    ...         **shipped.probes[row.probe_key],
    ...         placements=table,
    ...         backbone=row.backbone,
    ...     )
    ...     for row in log.itertuples()
    ... }
    >>> data = predictors.build_training_set(log, features)
    >>> len(data), data.y.round(3), data.counts
    (1, array([0.025]), array([1]))
    """
    validate_log(log)
    log = settle_families(log)
    trials = log.loc[(log["status"] == Status.DONE) & (log["placement"] != HEAD_ONLY), _READ]
    if trials.empty:
        raise PredictorError("the log holds no finished trial with adapters; collect some first")
    trials = trials.assign(
        gain=_gain(trials, "measured").fillna(_gain(trials, "val")),
        group=trials["task"].astype(str) + ":" + comparisons(trials),
    )
    by = trials.groupby(["group", "placement"], sort=True)
    rows = by.agg(family=("family", "first"), probe_key=("probe_key", "first")).reset_index()
    gains = [dict(zip(part["trial_id"], part["gain"].tolist(), strict=True)) for _, part in by]
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
        gains=np.array(gains, dtype=object),
        groups=rows["group"].to_numpy(dtype=object),
        families=rows["family"].to_numpy(dtype=object),
    )
