"""Models-from-code script of a registered predictor: checksummed LightGBM text, no pickle.

Not imported by this package; `register_version` copies it into the MLflow model's folder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class PredictorModel(PythonModel):
    """Predicted gain over head-only of placements, higher is better."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the predictor; a wrong checksum or schema is an error."""
        from predictors import load_predictor

        self.predictor = load_predictor(context.artifacts["predictor"])

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> np.ndarray:
        """Scores (rows,) of a feature table as `predictors.build_features` returns it."""
        return self.predictor.predict(model_input)


set_model(PredictorModel())
