"""Classifying image files with the winner of a pick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from autoplace.agent._winner import load
from autoplace.data import DataError, UnreadableImageError, read_image


def classify(
    run: str,
    images: Sequence[str],
    *,
    store: str | None = None,
    checkpoint: str | Path | None = None,
) -> Iterator[dict[str, Any]]:
    """`path`, `predicted` class and `probability` of each image file.

    Raises UserError for an unknown run or an image that cannot be read.
    """
    model = load(run, store=store, checkpoint=checkpoint)
    for path in images:
        try:
            image = read_image(path)
        except UnreadableImageError as error:
            raise DataError(f"cannot read {path}: {error}; give image files") from error
        with torch.inference_mode():
            probabilities = model(model.transform(image)[None]).softmax(1)[0]
        best = int(probabilities.argmax())
        yield {
            "path": path,
            "predicted": model.classes[best],
            "probability": float(probabilities[best]),
        }
