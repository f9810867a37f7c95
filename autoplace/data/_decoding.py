"""One image file to one RGB picture, whatever the file holds."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Read by content, and only by these decoders: the others of Pillow include some that start external
# programs (EPS), and none of them is a usual home for photographs.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

SUFFIXES = (
    *(".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)

# Pillow's own threshold for its warning. A picture above it would take 256 MiB and more in memory.
MAX_PIXELS = 89_478_485


class UnreadableImageError(Exception):
    """An image that cannot be used; the message is the reason, on one line."""


def read_image(path: str) -> Image.Image:
    """Decode the first frame of an image file, upright, as 8-bit RGB.

    Raises UnreadableImageError, and nothing else, for a file that is missing, no image, damaged,
    or larger than `MAX_PIXELS`.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UnreadableImageError(
                    f"{width}x{height} pixels, the limit is {MAX_PIXELS:,} in all"
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
        # On damaged bytes decoders raise nearly anything: OSError, SyntaxError, struct.error, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImageError(reason) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture of any mode to 8-bit RGB.

    Transparent parts are laid over white. Values of 16 bits are scaled to 8 and rounded (`convert`
    would clip them). Float pixels are refused, since no range is agreed for them.
    """
    if image.mode == "F":
        raise UnreadableImageError("float pixels have no agreed range; save it with 8 or 16 bits")
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
