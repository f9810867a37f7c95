"""Models-from-code script of a winner: MLflow runs it to load the model, nothing is pickled.

Not imported by this package; `log_winner_model` copies it into the MLflow model's folder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class WinnerModel(PythonModel):
    """Class probabilities of images, by the winner of an `autoplace pick`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the adapted backbone from the winner's folder."""
        import autoplace

        self.model = autoplace.load(context.artifacts["winner"])

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> np.ndarray:
        """Probabilities (batch, classes) float32 of RGB images (batch, height, width, 3) uint8."""
        import torch
        from PIL import Image

        images = [self.model.transform(Image.fromarray(image)) for image in model_input]
        with torch.inference_mode():
            scores: np.ndarray = self.model(torch.stack(images)).softmax(dim=-1).float().numpy()
        return scores


set_model(WinnerModel())
