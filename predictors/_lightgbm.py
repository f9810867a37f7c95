"""The main predictor: gradient-boosted trees on the features of a placement."""

from __future__ import annotations

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from ._base import Predictor
from ._gain_scale import Floats, equal_task_weights
from ._registry import register_predictor
from ._schema import SCHEMA

MANY_ROWS = 50_000


@register_predictor("lightgbm")
class LightGBMPredictor(Predictor):
    """Small, strongly regularised trees: logs have tens to thousands of rows, few tasks.

    Shallow trees, a small step, and rows and columns sampled, so that no single feature of few
    tasks carries the model. Deterministic for a given `random_state`, on any number of threads.

    Parameters
    ----------
    n_estimators : int, default=200
        Number of trees.
    learning_rate : float, default=0.05
        Shrinkage of each tree.
    num_leaves : int, default=7
        Leaves per tree.
    min_data_in_leaf : int, default=8
        Rows per leaf, at least.
    feature_fraction : float, default=0.6
        Share of columns that each tree sees.
    bagging_fraction : float, default=0.8
        Share of rows that each tree sees.
    lambda_l2 : float, default=1.0
        L2 penalty on leaf values.
    use_probe : bool, default=False
        Whether it learns from what was measured on the task, too, and not from the placement and
        its adapter kinds alone. On the shipped log, placements of other families and of shapes
        that it had not seen were ordered better without.
    num_threads : int, optional
        Threads of LightGBM; by default one for a small log, where more would only get in each
        other's way, and all from 50,000 rows.
    random_state : int, default=0
        Seed of the sampling.

    Attributes
    ----------
    booster_ : lightgbm.Booster
        Trees that predict within-task scores.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> predictor = predictors.LightGBMPredictor(n_estimators=20)
    >>> predictor = predictor.fit(data.X, data.y, data.groups)
    >>> float(predictors.score_tasks(predictor, data)["spearman"].mean()) > 0.5
    True
    """

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
        use_probe: bool = False,
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
        self.use_probe = use_probe
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
            X[self._features].to_numpy(),
            label=scores,
            weight=equal_task_weights(groups),
            feature_name=self._features,
            params={"verbosity": -1},
        )
        self.booster_ = lightgbm.train(settings, rows, num_boost_round=self.n_estimators)

    def _predict(self, X: pd.DataFrame) -> Floats:
        values = X[self._features].to_numpy()
        threads = self._threads(len(X))
        return np.asarray(self.booster_.predict(values, num_threads=threads), dtype=float)

    @property
    def _features(self) -> list[str]:
        return SCHEMA.features if self.use_probe else SCHEMA.placement_features

    def _threads(self, rows: int) -> int:
        """Threads as LightGBM counts them: 0 means all cores."""
        if self.num_threads is not None:
            return self.num_threads
        return 0 if rows >= MANY_ROWS else 1
