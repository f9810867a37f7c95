"""Decode an image file of any kind to an RGB picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Files are recognised by content and decoded only by these decoders. Some of Pillow's others start
# external programs (EPS), and none of them is for a usual format of photographs.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

# Pillow's own threshold for its warning. A larger picture would take more than 256 MiB of memory.
MAX_PIXELS = 89_478_485


class UnreadableImageError(Exception):
    """An image cannot be used; the message gives the reason on one line.

    Examples
    --------
    >>> from autoplace.data import UnreadableImageError, read_image
    >>> try:
    ...     read_image("no-such.png")
    ... except UnreadableImageError as error:
    ...     print(error)
    no such file
    """


def read_image(path: str) -> Image.Image:
    """Decode the first frame of an image file, upright, as 8-bit RGB.

    Parameters
    ----------
    path : str
        File to open. Its format is recognised by content, not by its suffix.

    Returns
    -------
    PIL.Image.Image
        The picture in mode RGB.

    Raises
    ------
    UnreadableImageError
        If the file is missing, damaged, not an image, or has more than `MAX_PIXELS` pixels. No
        other exception is raised.

    Examples
    --------
    Transparent parts become white:

    >>> import tempfile
    >>> from PIL import Image
    >>> from autoplace.data import read_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGBA", (4, 2), (200, 0, 0, 0)).save(f"{folder}/x.png")
    ...     image = read_image(f"{folder}/x.png")
    >>> image.mode, image.size, image.getpixel((0, 0))
    ('RGB', (4, 2), (255, 255, 255))
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UnreadableImageError(
                    f"{width}x{height} pixels; the limit is {MAX_PIXELS:,} in total"
                )
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except UnreadableImageError:
        raise
    except FileNotFoundError:
        raise UnreadableImageError("no such file") from None
    except UnidentifiedImageError:
        raise UnreadableImageError(f"not an image in any of {', '.join(FORMATS)}") from None
    except Exception as error:
        # Decoders raise almost anything on damaged bytes: OSError, SyntaxError, struct.error, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImageError(reason) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture of any mode to 8-bit RGB.

    Transparent parts become white. 16-bit values are scaled to 8 bits and rounded (`convert` would
    clip them).

    Raises
    ------
    UnreadableImageError
        If pixels are floats, whose range is unknown, or have more than 16 bits.
    """
    if image.mode == "F":
        raise UnreadableImageError("float pixels have no known range; save it with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
            raise UnreadableImageError("pixels of more than 16 bits; save it with 8 or 16 bits")
        nearest = (values + 128) // 257  # 65535 / 257 = 255
        return Image.fromarray(nearest.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    return image.convert("RGB")
