"""Which files are images by their names, and which a person would call images all the same."""

from __future__ import annotations

import os
from functools import cache

from PIL import Image

from autoplace.data._decoding import FORMATS

# Files that people call pictures, in formats that are not decoded here.
_OTHER_PICTURES = (
    *(".avif", ".avifs", ".heic", ".heif", ".jxl", ".jxr", ".svg", ".ico", ".tga", ".pcx"),
    *(".psd", ".xcf", ".eps", ".exr", ".hdr", ".dcm", ".fits", ".raw", ".dng", ".cr2", ".cr3"),
    *(".nef", ".arw", ".orf", ".rw2", ".raf"),
)


@cache
def image_suffixes() -> tuple[str, ...]:
    """List the suffixes, in lower case, of files that are read as images.

    They are all that Pillow knows for the supported formats.

    Examples
    --------
    >>> from autoplace.data import image_suffixes
    >>> {".jpg", ".jfif", ".jpe", ".png", ".j2k"} <= set(image_suffixes())
    True
    """
    Image.init()
    # A file of several JPEG pictures (MPO) is decoded as a JPEG file.
    formats = {*FORMATS, "MPO"}
    return tuple(sorted(s for s, form in Image.EXTENSION.items() if form in formats))


def unsupported_suffix(name: str) -> str | None:
    """Return the suffix of a picture in a format that is not decoded, or None for other files."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if suffix in _OTHER_PICTURES and suffix not in image_suffixes() else None


def is_picture_inside(path: str) -> bool:
    """Return whether a file's contents are an image, whatever its name; only the header is read."""
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Exception:  # Pillow raises almost anything on bytes that are no image
        return False
