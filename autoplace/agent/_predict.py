"""`autoplace predict`: classify images with the winner of a pick."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from autoplace.agent.steps._image_files import find_images
from autoplace.agent.steps._load import load
from autoplace.agent.steps._progress import Progress
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
    probabilities : mapping of str to float
        Those of all classes, if they were asked for.

    Examples
    --------
    >>> Prediction("photo.jpg", "cat", 0.75).to_dict()
    {'path': 'photo.jpg', 'predicted': 'cat', 'probability': 0.75}
    """

    path: str
    predicted: str
    probability: float
    probabilities: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return names and values; probabilities only if they were asked for."""
        values = {name: value for name, value in vars(self).items() if name != "probabilities"}
        return values | ({"probabilities": dict(self.probabilities)} if self.probabilities else {})

    def to_row(self) -> dict[str, Any]:
        """Return cells of a table by column; the probability of a cat is `probability:cat`."""
        values = {name: value for name, value in vars(self).items() if name != "probabilities"}
        return values | {f"probability:{name}": p for name, p in self.probabilities.items()}


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
