"""Read an image file of any kind as an RGB picture, by one rule for a whole data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from PIL import ExifTags, Image, ImageOps

from autoplace.data._decoding import MAX_PIXELS, UnreadableImageError, opened
from autoplace.data._depth import Depth, deep_values, depth_of

Range = tuple[float, float]

SIXTEEN_BITS: Range = (0.0, 65535.0)
# A file with no larger value may hold 8, 10 or 12 bits as well as a dark picture of 16 bits.
_TWELVE_BITS = 4095


@dataclass(frozen=True)
class PictureReading:
    """How the pictures of a data set are read; the same for all of them, and for `predict`.

    Parameters
    ----------
    integers, floats : tuple of float or None
        Lowest and highest value that become 0 and 255, for pictures of more than 8 bits and of
        floats. None if there are no such pictures among those that may be trained on.
    max_pixels : int
        Most pixels that are decoded.

    Examples
    --------
    >>> reading = PictureReading(integers=(0.0, 4095.0))
    >>> PictureReading.from_dict(reading.to_dict()) == reading
    True
    """

    integers: Range | None = None
    floats: Range | None = None
    max_pixels: int = MAX_PIXELS

    def __call__(self, path: str) -> Image.Image:
        """Read an image file as `read_image` does."""
        return read_image(path, self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        ranges = {"integers": self.integers, "floats": self.floats}
        return {
            **{name: list(found) for name, found in ranges.items() if found is not None},
            "max_pixels": self.max_pixels,
        }

    def changes(self) -> dict[str, Any]:
        """Return what differs from the reading of ordinary pictures of 8 bits."""
        usual = PictureReading().to_dict()
        return {name: value for name, value in self.to_dict().items() if value != usual.get(name)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the values are not such.
        """
        ranges = {
            name: (float(values[name][0]), float(values[name][1]))
            for name in ("integers", "floats")
            if values.get(name) is not None
        }
        return cls(**ranges, max_pixels=int(values["max_pixels"]))


# What a picture of 16 bits means without a data set: PNG and TIFF define 65535 as white.
_BY_ITSELF = PictureReading(integers=SIXTEEN_BITS)


def read_image(path: str, reading: PictureReading = _BY_ITSELF) -> Image.Image:
    """Decode the first frame of an image file, upright, as 8-bit RGB.

    Transparent parts become white.

    Parameters
    ----------
    path : str
        File to open. Its format is recognised by content, not by its suffix.
    reading : PictureReading, optional
        The rule of the data set. By default, 65535 is white in pictures of 16 bits.

    Returns
    -------
    PIL.Image.Image
        The picture in mode RGB.

    Raises
    ------
    UnreadableImageError
        If the file is missing, damaged or not an image, if it has too many pixels, or if the range
        of its values is unknown. No other exception is raised.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from autoplace.data import read_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGBA", (4, 2), (200, 0, 0, 0)).save(f"{folder}/x.png")
    ...     image = read_image(f"{folder}/x.png")
    >>> image.mode, image.size, image.getpixel((0, 0))
    ('RGB', (4, 2), (255, 255, 255))
    """
    with opened(path, reading.max_pixels) as image:
        depth = depth_of(image)
        if depth is Depth.EIGHT_BITS:
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
        values, alpha = deep_values(path, image, reading.max_pixels)
        picture = _to_rgb(Image.fromarray(_scale(values, _range_for(values, depth, reading))))
        if alpha is not None:
            picture.putalpha(Image.fromarray(_scale(alpha, SIXTEEN_BITS)))
        # Turned only now, because Pillow cannot turn every mode.
        turned = ExifTags.Base.Orientation
        picture.getexif()[turned] = image.getexif().get(turned, 1)
        return _to_rgb(ImageOps.exif_transpose(picture))


def _range_for(values: np.ndarray, depth: Depth, reading: PictureReading) -> Range:
    known = reading.floats if depth is Depth.FLOAT else reading.integers
    if known is not None:
        return known
    if depth is Depth.INTEGER and values.max(initial=0) > _TWELVE_BITS:
        return SIXTEEN_BITS
    raise UnreadableImageError(
        f"{depth.value} of unknown range, because no image to train on has such pixels; "
        "save it with 8 bits"
    )


def _scale(values: np.ndarray, known: Range) -> np.ndarray:
    """Scale values to 0 to 255 and round them; values outside the range are clipped."""
    low, high = known
    scaled = (values.astype(np.float64) - low) * 255 / (high - low)
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0)
    rounded: np.ndarray = np.rint(scaled.clip(0, 255)).astype(np.uint8)
    return rounded


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture of 8 bits to RGB; transparent parts become white."""
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    return image.convert("RGB")
