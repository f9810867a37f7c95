"""Where in the depth of the backbone the adapters write, and nothing about the task."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from .._base import Predictor
from .._gain_scale import Floats, equal_task_weights
from .._registry import register_predictor


@register_predictor("target-depth")
class TargetDepthPredictor(Predictor):
    """A parabola over the mean target depth, so that the best depth may be in the middle.

    Attributes
    ----------
    coefficients_ : ndarray (3,)
        Of depth², depth and 1.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> predictor = predictors.create_predictor("target-depth").fit(data.X, data.y, data.groups)
    >>> predictor.coefficients_.shape
    (3,)
    """

    def _fit(self, X: pd.DataFrame, scores: Floats, groups: npt.NDArray[np.object_]) -> None:
        root_weights = np.sqrt(equal_task_weights(groups))
        # lstsq, not polyfit: fewer than three depths then give the smallest parabola, no warning.
        self.coefficients_ = np.linalg.lstsq(
            _powers(X) * root_weights[:, None], scores * root_weights, rcond=None
        )[0]

    def _predict(self, X: pd.DataFrame) -> Floats:
        return np.asarray(_powers(X) @ self.coefficients_, dtype=float)


def _powers(X: pd.DataFrame) -> Floats:
    return np.vander(X["target_mean"].to_numpy(dtype=float), 3)
