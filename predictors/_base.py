"""What every predictor is: a scikit-learn regressor of the gain over head-only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ._errors import PredictorError
from ._gain_scale import Floats, GainScale
from ._schema import SCHEMA


class Predictor(RegressorMixin, BaseEstimator, ABC):
    """Predicts the gain of a placement over head-only; higher is better.

    A subclass says how to learn within-task scores (`_fit`) and how to predict them (`_predict`);
    checks, the canonical order of rows and the units are the same for all and are here.

    Attributes
    ----------
    gain_scale_ : GainScale
        From within-task scores to gains.

    Examples
    --------
    A predictor of one's own has two methods, and is known by name once it is registered.

    >>> import numpy as np
    >>> import predictors
    >>> class FewEdgesPredictor(predictors.Predictor):
    ...     def _fit(self, X, scores, groups):
    ...         pass
    ...     def _predict(self, X):
    ...         return -np.log(X["n_edges"].to_numpy())
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> predictor = FewEdgesPredictor().fit(data.X, data.y, data.groups)
    >>> round(predictors.spearman(data.X["n_edges"], predictor.predict(data.X)), 3)
    -1.0
    """

    gain_scale_: GainScale

    def fit(self, X: pd.DataFrame, y: npt.ArrayLike, groups: npt.ArrayLike) -> Self:
        """Learn from measured gains.

        Parameters
        ----------
        X : DataFrame (rows, columns)
            Columns of `SCHEMA`.
        y : array (rows,)
            Gain on validation: the placement's metric minus head-only's.
        groups : array (rows,)
            Task of each row. Only differences within a task are learnt, each task counts the same.

        Returns
        -------
        Predictor
            This one.

        Raises
        ------
        PredictorError
            Wrong columns, no rows, lengths that differ, a gain that is not finite, a row without
            task.
        """
        X = SCHEMA.check(X).reset_index(drop=True)
        gains, tasks = np.asarray(y, dtype=float), np.asarray(groups, dtype=object)
        if gains.shape != (len(X),) or tasks.shape != (len(X),) or len(X) == 0:
            raise PredictorError(
                f"X has {len(X)} rows, y shape {gains.shape}, groups shape {tasks.shape}; "
                "give at least one row, with one gain and one task each"
            )
        if not np.isfinite(gains).all() or pd.isna(tasks).any():
            raise PredictorError(
                "a row has no finite gain or no task; fit on finished trials only "
                "(build_training_set keeps those)"
            )
        # Sums and bagging depend on the order of rows; the learned state must not.
        keys = pd.DataFrame(
            {
                "task": tasks.astype(str),
                "backbone": X["backbone"],
                "placement": X["placement"],
                "gain": gains,
            }
        )
        if keys.duplicated().any():  # then only the features tell such rows apart
            keys = pd.concat([keys, X[SCHEMA.features]], axis=1)
        order = keys.sort_values(list(keys.columns)).index
        X, gains, tasks = X.loc[order], gains[order], tasks[order]
        self.gain_scale_ = GainScale.fit(gains, tasks)
        self._fit(X.reset_index(drop=True), self.gain_scale_.normalise(gains, tasks), tasks)
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        """Predict gains.

        Parameters
        ----------
        X : DataFrame (rows, columns)
            Columns of `SCHEMA`.

        Returns
        -------
        ndarray (rows,)
            Gains over head-only, in units of the metric.

        Raises
        ------
        PredictorError
            `X` does not have the columns of `SCHEMA`.
        sklearn.exceptions.NotFittedError
            `fit` was not called.
        """
        check_is_fitted(self, "gain_scale_")
        X = SCHEMA.check(X)
        # LightGBM and scikit-learn refuse to predict for no rows at all.
        return self.gain_scale_.restore(self._predict(X) if len(X) else np.empty(0))

    @abstractmethod
    def _fit(self, X: pd.DataFrame, scores: Floats, groups: npt.NDArray[np.object_]) -> None:
        """Learn within-task scores (rows,) from checked, canonically ordered rows."""

    @abstractmethod
    def _predict(self, X: pd.DataFrame) -> Floats:
        """Within-task scores (rows,) of checked rows."""
