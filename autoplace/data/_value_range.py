"""The range of values that a data set's pictures of more than 8 bits use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from autoplace.data._decoding import UnreadableImageError, opened
from autoplace.data._depth import Depth, deep_values, file_depth
from autoplace.data._reading import SIXTEEN_BITS, PictureReading, Range

SAMPLED_PICTURES = 256  # of each depth; a data set with fewer is read whole
# Share of the values left out at either end, so that a few broken pixels do not set the range.
OUTLIERS = 1e-4

_SAMPLED_PIXELS = 2**16  # of each picture, evenly spaced
_N_READERS = 8  # reading waits for the disk, and decoding releases the interpreter lock


def find_reading(paths: Iterable[str], max_pixels: int) -> tuple[PictureReading, list[str]]:
    """Find how the pictures of a data set are to be read.

    Parameters
    ----------
    paths : iterable of str
        Pictures that may be trained on, in an order that does not change. Those of test have no
        say.
    max_pixels : int
        Most pixels to decode.

    Returns
    -------
    reading : PictureReading
        One range for all pictures of more than 8 bits, and one for all of floats.
    notes : list of str
        What the user should know of it.
    """
    every = list(paths)
    with ThreadPoolExecutor(_N_READERS) as pool:
        depths = list(pool.map(_depth, every))
        found = {
            depth: _used_range(
                pool.map(
                    lambda path: _values(path, max_pixels),
                    _spread([p for p, d in zip(every, depths, strict=True) if d is depth]),
                )
            )
            for depth in (Depth.INTEGER, Depth.FLOAT)
        }
    reading = PictureReading(
        integers=found[Depth.INTEGER], floats=found[Depth.FLOAT], max_pixels=max_pixels
    )
    notes = [
        f"{depths.count(depth)} of {len(every)} images in train and val have {depth.value}; the "
        f"range that they use, {used[0]:,.6g} to {used[1]:,.6g}, is scaled to 0 to 255 in all "
        "splits, and by predict"
        for depth, used in found.items()
        if used is not None
    ]
    return reading, notes


def _depth(path: str) -> Depth | None:
    try:
        return file_depth(path)
    except (OSError, UnreadableImageError):
        return None  # reported when it is read


def _spread(paths: Sequence[str]) -> list[str]:
    """Take some of the paths, evenly spaced."""
    chosen = np.linspace(0, len(paths) - 1, min(SAMPLED_PICTURES, len(paths)))
    return [paths[i] for i in chosen.round().astype(int)]


def _values(path: str, max_pixels: int) -> np.ndarray:
    """Return some finite values of a picture; none if it is damaged."""
    try:
        with opened(path, max_pixels) as image:
            values = deep_values(path, image, max_pixels)[0]
    except UnreadableImageError:
        return np.empty(0)
    pixels = values.reshape(values.shape[0] * values.shape[1], -1)
    pixels = pixels[:: max(1, -(-len(pixels) // _SAMPLED_PIXELS))]
    kept: np.ndarray = pixels[np.isfinite(pixels)]
    return kept


def _used_range(pictures: Iterable[np.ndarray]) -> Range | None:
    sampled = list(pictures)
    values = np.concatenate(sampled) if sampled else np.empty(0)
    if not len(values):
        return None
    low = float(np.quantile(values, OUTLIERS, method="lower"))
    high = float(np.quantile(values, 1 - OUTLIERS, method="higher"))
    # Pictures of one value have no range.
    return (low, high) if low < high else SIXTEEN_BITS
