"""`autoplace predict`: classify images with the winner of a pick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from autoplace.agent.steps._load import load
from autoplace.data import DataError, UnreadableImageError


@dataclass(frozen=True)
class Prediction:
    """The predicted class of an image.

    Attributes
    ----------
    path : str
        The image file.
    predicted : str
        Name of the most probable class.
    probability : float
        Its probability.

    Examples
    --------
    >>> Prediction("photo.jpg", "cat", 0.75).predicted
    'cat'
    """

    path: str
    predicted: str
    probability: float


def predict(
    run: str | Path,
    images: Sequence[str | Path],
    *,
    store: str | None = None,
    checkpoint: str | Path | None = None,
) -> Iterator[Prediction]:
    """Classify image files one by one with the winner of a pick.

    See `autoplace.predict`.
    """
    model = load(run, store=store, checkpoint=checkpoint)
    for path in images:
        try:
            image = model.read_image(str(path))
        except UnreadableImageError as error:
            raise DataError(f"cannot read {path}: {error}; give image files") from error
        with torch.inference_mode():
            probabilities = model(model.transform(image)[None]).softmax(1)[0]
        best = int(probabilities.argmax())
        yield Prediction(str(path), model.classes[best], float(probabilities[best]))
