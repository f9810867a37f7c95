"""Chance: what any other predictor has to beat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from .._base import Predictor
from .._gain_scale import Floats
from .._registry import register_predictor


@register_predictor("random")
class RandomPredictor(Predictor):
    """Draw one of the scores seen in training for each row.

    The draw is a hash of the row and the seed, so that it does not depend on the rows beside it,
    and differs between tasks.

    Parameters
    ----------
    random_state : int, default=0
        Seed of the draw.

    Attributes
    ----------
    scores_ : ndarray (rows,)
        Within-task scores seen in training, ascending.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> predictor = predictors.create_predictor("random").fit(data.X, data.y, data.groups)
    >>> abs(predictors.spearman(data.y, predictor.predict(data.X))) < 0.1
    True
    """

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def _fit(self, X: pd.DataFrame, scores: Floats, groups: npt.NDArray[np.object_]) -> None:
        self.scores_ = np.sort(scores)

    def _predict(self, X: pd.DataFrame) -> Floats:
        # The seed goes in as a column, the one way that reaches every bit of pandas' hash.
        seeded = X.assign(seed=str(self.random_state))
        hashes = pd.util.hash_pandas_object(seeded, index=False).to_numpy(dtype=np.uint64)
        return np.quantile(self.scores_, hashes.astype(float) / 2.0**64)
