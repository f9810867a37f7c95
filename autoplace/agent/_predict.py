"""`autoplace predict`: classify images with the winner of a pick."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from autoplace.agent.steps._image_files import find_images
from autoplace.agent.steps._load import load
from autoplace.agent.steps._prediction import Prediction
from autoplace.agent.steps._progress import Progress
from autoplace.data import DataError, UnreadableImageError


def predict(
    run: str | Path,
    images: Sequence[str | Path],
    *,
    store: str | None = None,
    checkpoint: str | Path | None = None,
    probabilities: bool = False,
    on_error: Callable[[str, str], None] | None = None,
    progress: Progress | None = None,
) -> Iterator[Prediction]:
    """Classify image files one by one with the winner of a pick.

    See `autoplace.predict`.

    Parameters
    ----------
    run, images, store, checkpoint, probabilities
        See `autoplace.predict`.
    on_error : callable, optional
        Called with the path of each image that cannot be read, and the reason; the others are
        classified nevertheless. Without it, the first such image is an error.
    progress : Progress, optional
        Receives notes about the store.
    """
    model = load(run, store=store, checkpoint=checkpoint, progress=progress)
    for path, problem in find_images(images):
        try:
            if problem is not None:
                raise UnreadableImageError(problem)
            image = model.read_image(path)
        except UnreadableImageError as error:
            if on_error is None:
                raise DataError(f"cannot read {path}: {error}; give image files") from error
            on_error(path, str(error))
            continue
        with torch.inference_mode():
            found = model(model.transform(image)[None]).softmax(1)[0]
        best = int(found.argmax())
        everything = dict(zip(model.classes, found.tolist(), strict=True)) if probabilities else {}
        yield Prediction(path, model.classes[best], float(found[best]), everything)
