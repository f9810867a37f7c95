"""The main predictor: gradient-boosted trees on the features of a placement."""

from __future__ import annotations

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from ._base import Predictor
from ._gain_scale import Floats, equal_task_weights
from ._schema import SCHEMA

MANY_ROWS = 50_000


class LightGBMPredictor(Predictor):
    """Small, strongly regularised trees: logs have tens to thousands of rows, few tasks.

    Shallow trees, a small step, and rows and columns sampled, so that no single feature of few
    tasks carries the model. Deterministic for a given `random_state`, on any number of threads.

    Parameters
    ----------
    n_estimators : int
        Number of trees.
    learning_rate : float
        Shrinkage of each tree.
    num_leaves : int
        Leaves per tree.
    min_data_in_leaf : int
        Rows per leaf, at least.
    feature_fraction, bagging_fraction : float
        Share of columns and of rows that each tree sees.
    lambda_l2 : float
        L2 penalty on leaf values.
    num_threads : int, optional
        Threads of LightGBM; by default one for a small log, where more would only get in each
        other's way, and all from 50,000 rows.
    random_state : int
        Seed of the sampling.

    Attributes
    ----------
    booster_ : lightgbm.Booster
        Trees that predict within-task scores.
    """

    name = "lightgbm"
    booster_: lightgbm.Booster

    def __init__(
        self,
        n_estimators: int = 200,
        learning_rate: float = 0.05,
        num_leaves: int = 7,
        min_data_in_leaf: int = 8,
        feature_fraction: float = 0.6,
        bagging_fraction: float = 0.8,
        lambda_l2: float = 1.0,
        num_threads: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_data_in_leaf = min_data_in_leaf
        self.feature_fraction = feature_fraction
        self.bagging_fraction = bagging_fraction
        self.lambda_l2 = lambda_l2
        self.num_threads = num_threads
        self.random_state = random_state

    def _fit(self, X: pd.DataFrame, scores: Floats, groups: npt.NDArray[np.object_]) -> None:
        settings = {
            "objective": "regression",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            # Rows too few for two leaves are never split, and a bag of them may be empty: an error.
            "bagging_freq": int(len(X) >= 2 * self.min_data_in_leaf),
            "lambda_l2": self.lambda_l2,
            "num_threads": self._threads(len(X)),
            "seed": self.random_state,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        rows = lightgbm.Dataset(
            X[SCHEMA.features].to_numpy(),
            label=scores,
            weight=equal_task_weights(groups),
            feature_name=SCHEMA.features,
            params={"verbosity": -1},
        )
        self.booster_ = lightgbm.train(settings, rows, num_boost_round=self.n_estimators)

    def _predict(self, X: pd.DataFrame) -> Floats:
        values = X[SCHEMA.features].to_numpy()
        threads = self._threads(len(X))
        return np.asarray(self.booster_.predict(values, num_threads=threads), dtype=float)

    def _threads(self, rows: int) -> int:
        """As LightGBM counts them: 0 means all cores."""
        if self.num_threads is not None:
            return self.num_threads
        return 0 if rows >= MANY_ROWS else 1
