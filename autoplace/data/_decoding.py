"""Open image files: formats by content, reduced sizes of large pictures, limits."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from PIL import Image, ImageFile, JpegImagePlugin
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

Image.init()  # registers Pillow's decoders

# Files are recognised by content and decoded only by these decoders. Some of Pillow's others start
# external programs (EPS), and none of them is for a usual format of photographs. TGA has no
# signature, so it is tried last. AVIF and QOI need a newer Pillow.
FORMATS = tuple(
    name
    for name in (
        *("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000"),
        *("PCX", "PNG", "PPM", "QOI", "TIFF", "WEBP", "TGA"),
    )
    if name in Image.OPEN
)

# MPO is JPEG with more than one picture; cameras write it.
SUFFIXES = tuple(
    sorted(
        suffix
        for suffix, name in Image.registered_extensions().items()
        if name in (*FORMATS, "MPO")
    )
)

# Pillow's own threshold for its warning. A larger picture would take more than 256 MiB of memory.
MAX_PIXELS = 89_478_485

_JPEG_SCALES = (2, 4, 8)  # that libjpeg can decode at


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


@contextmanager
def opened(path: str, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Open an image file without decoding it.

    A JPEG or JPEG 2000 picture of more than `max_pixels` will be decoded at the largest of its
    reduced sizes that has no more.

    Parameters
    ----------
    path : str
        File to open.
    max_pixels : int
        Most pixels to decode.

    Raises
    ------
    UnreadableImageError
        If the file is missing or is not an image, if it has too many pixels in a format that
        cannot be decoded at a reduced size, or if it turns out to be damaged while it is open.
    """
    try:
        with open(path, "rb") as file:
            image = _recognise(file)
            width, height = image.size
            if width * height > max_pixels and not _reduce(image, max_pixels):
                raise UnreadableImageError(
                    f"{width}x{height} pixels, and at most {max_pixels:,} are read "
                    "(--max-pixels); make the picture smaller or raise the limit"
                )
            yield image
    except UnreadableImageError:
        raise
    except FileNotFoundError:
        raise UnreadableImageError("no such file") from None
    except Exception as error:
        # Decoders raise almost anything on damaged bytes: OSError, SyntaxError, struct.error, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImageError(reason) from error


def _recognise(file: IO[bytes]) -> ImageFile.ImageFile:
    """Do what `Image.open` does, but for its limit on pixels, which is one for all threads."""
    prefix, failed = file.read(16), ""
    if not prefix:
        raise UnreadableImageError("the file is empty")
    for name in FORMATS:
        create, accept = Image.OPEN[name]
        if accept is not None and accept(prefix) is not True:
            continue
        file.seek(0)
        try:
            return create(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            if accept is not None:
                failed = (
                    f"this {name} file is damaged or of a kind that Pillow cannot read ({error})"
                )
    raise UnreadableImageError(failed or f"not an image in any of {', '.join(sorted(FORMATS))}")


def _reduce(image: ImageFile.ImageFile, max_pixels: int) -> bool:
    """Let a picture be decoded at a reduced size; returns whether that is small enough."""
    width, height = image.size
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        for scale in _JPEG_SCALES:
            if -(-width // scale) * -(-height // scale) <= max_pixels:
                image.draft(image.mode, (max(1, width // scale), max(1, height // scale)))
                return True
    if isinstance(image, Jpeg2KImageFile):
        for levels in range(1, _jpeg2000_levels(image) + 1):
            size = -(-width >> levels), -(-height >> levels)
            if size[0] * size[1] <= max_pixels:
                _reduce_jpeg2000(image, levels, size)
                return True
    return False


def _reduce_jpeg2000(image: Any, levels: int, size: tuple[int, int]) -> None:
    """Do what Pillow's `reduce` does, but for odd sizes, too: the decoder rounds them up."""
    codec, _, *rest = image.tile[0][3]
    image._size = size
    image.tile = [changed_tile(image.tile[0], (codec, levels, *rest), (0, 0, *size))]


def changed_tile(tile: Any, arguments: Any, box: tuple[int, ...] | None = None) -> Any:
    """Change what Pillow tells a decoder of a part of a picture: arguments, and where it is."""
    decoder, given, offset, _ = tile
    # A named tuple in newer versions of Pillow.
    make = getattr(tile, "_make", tuple)
    return make((decoder, box or given, offset, arguments))


def _jpeg2000_levels(image: Jpeg2KImageFile) -> int:
    """Return how often the size of a JPEG 2000 picture can be halved."""
    assert image.fp is not None
    image.fp.seek(0)
    head = image.fp.read(1 << 16)
    found = head.find(b"\xff\x52")  # the marker of coding style (COD)
    # After the marker: length, style, progression, layers (2, 1, 1, 2 bytes), transform, levels.
    return head[found + 9] if 0 <= found < len(head) - 9 else 0
