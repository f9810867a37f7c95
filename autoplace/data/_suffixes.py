"""Files that a person would call images, although their names are not those of images we read."""

from __future__ import annotations

import os

from PIL import Image

from autoplace.data._decoding import SUFFIXES

# Files that people call pictures, in formats that are not decoded here.
_OTHER_PICTURES = (
    *(".avif", ".avifs", ".heic", ".heif", ".jxl", ".jxr", ".svg", ".ico", ".tga", ".pcx"),
    *(".psd", ".xcf", ".eps", ".exr", ".hdr", ".dcm", ".fits", ".raw", ".dng", ".cr2", ".cr3"),
    *(".nef", ".arw", ".orf", ".rw2", ".raf"),
)


# Formats whose files are told from others by their first bytes.
_SIGNED = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")


def unsupported_suffix(name: str) -> str | None:
    """Return the suffix of a picture in a format that is not decoded, or None for other files."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if suffix in _OTHER_PICTURES and suffix not in SUFFIXES else None


def is_picture_inside(path: str) -> bool:
    """Return whether a file's contents are an image, whatever its name; only the header is read."""
    try:
        with Image.open(path, formats=_SIGNED):
            return True
    except Exception:  # Pillow raises almost anything on bytes that are no image
        return False
