"""Load the winner of a pick."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL.Image import Image

from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._store import open_store
from autoplace.data import PictureReading, create_transform, read_image
from autoplace.errors import UserError
from autoplace.model import AdaptedModel, load_adapted, read_pictures
from autoplace.tracking import fetch_winner, find_run


def load(
    run: str | Path,
    *,
    store: str | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> AdaptedModel:
    """Load the winner of a pick, in evaluation mode on the CPU.

    See `autoplace.load`.
    """
    folder = Path(run)
    if not folder.is_dir():
        opened = open_store(store, progress or Progress(), write=False)
        folder = fetch_winner(find_run(opened, str(run)))
    model = load_adapted(folder, checkpoint)
    model.transform = create_transform(model.chain.data_config)
    model.read_image = _reader(folder)
    return model


def _reader(folder: Path) -> Callable[[str], Image]:
    """Return what reads image files as those that the model was trained on were read."""
    pictures = read_pictures(folder)
    if pictures is None:
        return read_image
    try:
        return PictureReading.from_dict(pictures)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder} does not say how images are read ({error!r}); give a run of 'autoplace pick'"
        ) from error
