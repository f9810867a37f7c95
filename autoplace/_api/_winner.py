"""`autoplace.predict` and `autoplace.load`: use the winner of a pick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from autoplace.model import AdaptedModel


def predict(
    run: str | Path,
    images: str | Path | Sequence[str | Path],
    *,
    store: str | None = None,
    checkpoint: str | Path | None = None,
    probabilities: bool = False,
) -> pd.DataFrame:
    """Classify image files with the winner of a pick.

    Parameters
    ----------
    run : str or path
        An MLflow run id, or a winner's folder.
    images : path or sequence of paths
        Image files, folders, which are searched for images, and patterns such as `photos/*.jpg`.
    store : str, optional
        MLflow tracking URI; default: as for the commands.
    checkpoint : path, optional
        Where the backbone's weights are now, if they have moved.
    probabilities : bool, default=False
        Whether to add a column with the probability of each class, named `probability:<class>`.

    Returns
    -------
    DataFrame (images, 3)
        `path`, `predicted` class and its `probability`; more columns with `probabilities`.

    Raises
    ------
    UserError
        An unknown run, or an image that cannot be read.

    Examples
    --------
    >>> import autoplace
    >>> autoplace.predict("no-such-run", "photo.jpg")
    Traceback (most recent call last):
    autoplace.tracking...TrackingError: no run 'no-such-run' ...
    """
    import pandas as pd

    from autoplace import agent

    files = [images] if isinstance(images, str | Path) else images
    found = agent.predict(
        run, files, store=store, checkpoint=checkpoint, probabilities=probabilities
    )
    rows = [each.to_row() for each in found]
    return pd.DataFrame(rows, columns=[*rows[0]] if rows else ["path", "predicted", "probability"])


def load(
    run: str | Path, *, store: str | None = None, checkpoint: str | Path | None = None
) -> AdaptedModel:
    """Load the winner of a pick as an `nn.Module`, in evaluation mode on the CPU.

    Its `read_image` reads an image file as those that it was trained on were read, `transform`
    turns that into a tensor (3, height, width), and `classes` name the logits.

    Parameters
    ----------
    run : str or path
        An MLflow run id, or a winner's folder.
    store : str, optional
        MLflow tracking URI; default: as for the commands.
    checkpoint : path, optional
        Where the backbone's weights are now, if they have moved.

    Returns
    -------
    AdaptedModel
        Backbone, adapters and head.

    Raises
    ------
    UserError
        An unknown run, an incomplete folder, or other backbone weights.

    Examples
    --------
    >>> import autoplace
    >>> autoplace.load("no-such-run")
    Traceback (most recent call last):
    autoplace.tracking...TrackingError: no run 'no-such-run' ...
    """
    from autoplace import agent

    return agent.load(run, store=store, checkpoint=checkpoint)
