"""Pictures of more than 8 bits: which files hold them, and their values."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Any

import numpy as np
from PIL import ImageFile

from autoplace.data._decoding import changed_tile, opened

# Pillow keeps only the high byte of a 16-bit colour. Read in the other byte order, it keeps the low
# one. `N` is the order of this machine, in which libtiff returns its pixels.
_OTHER_BYTE = {
    f"{colours};16{order}": f"{colours};16{other}"
    for colours in ("RGB", "RGBA", "RGBX")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
}
_PNG, _JPEG = b"\x89PNG", b"\xff\xd8\xff"
_PNG_DEPTH = 24  # the byte of a PNG file that says how many bits a value has


class Depth(Enum):
    """What the values of a picture are."""

    EIGHT_BITS = "8-bit pixels"
    INTEGER = "16-bit pixels"
    FLOAT = "float pixels"


def depth_of(image: ImageFile.ImageFile) -> Depth:
    """Return the depth of a picture that is opened but not loaded."""
    if image.mode == "F":
        return Depth.FLOAT
    if image.mode == "I" or image.mode.startswith("I;16") or _raw_mode(image) in _OTHER_BYTE:
        return Depth.INTEGER
    return Depth.EIGHT_BITS


def file_depth(path: str) -> Depth:
    """Return the depth of the picture in a file; nothing is decoded.

    Raises
    ------
    OSError, UnreadableImageError
        If the file cannot be opened.
    """
    with open(path, "rb") as file:
        head = file.read(_PNG_DEPTH + 1)
    # Most files are of these formats, and are known by their first bytes.
    if head.startswith(_JPEG) or (head.startswith(_PNG) and head[_PNG_DEPTH:] != b"\x10"):
        return Depth.EIGHT_BITS
    with opened(path, sys.maxsize) as image:
        return depth_of(image)


def deep_values(
    path: str, image: ImageFile.ImageFile, max_pixels: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode a picture of more than 8 bits.

    Parameters
    ----------
    path : str
        Its file.
    image : ImageFile
        The picture, opened but not loaded.
    max_pixels : int
        Most pixels to decode.

    Returns
    -------
    values : ndarray (height, width) or (height, width, 3)
        Grey values, or red, green and blue.
    alpha : ndarray (height, width) or None
        From 0 to 65535, if the picture has it.
    """
    raw_mode = _raw_mode(image)
    if raw_mode not in _OTHER_BYTE:
        image.load()
        return np.asarray(image), None
    image.load()
    high = np.asarray(image).astype(np.uint16)
    with opened(path, max_pixels) as again:
        again.tile = [_with_raw_mode(tile, _OTHER_BYTE[raw_mode]) for tile in again.tile]
        again.load()
        low = np.asarray(again)
    values = (high << 8) | low
    return values[..., :3], values[..., 3] if values.shape[-1] == 4 else None


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Return Pillow's name of how pixels are stored in the file."""
    arguments = image.tile[0][3] if image.tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _with_raw_mode(tile: Any, raw_mode: str) -> Any:
    given = tile[3]
    return changed_tile(tile, (raw_mode, *given[1:]) if isinstance(given, tuple) else raw_mode)
