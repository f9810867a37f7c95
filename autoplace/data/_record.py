"""What decoding has shown so far: unreadable images, content, equal images."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

from PIL import Image

from autoplace.data._errors import DataError


@dataclass(frozen=True)
class BadImage:
    """An image that is skipped, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class DuplicateImage:
    """One picture that occurs in more than one split: equal pixels once decoded.

    `paths[i]` lies in `splits[i]`.
    """

    paths: tuple[str, ...]
    splits: tuple[str, ...]


def pixel_digest(image: Image.Image) -> str:
    """A digest of an RGB picture's size and pixels; file format and metadata do not count."""
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=16)
    digest.update(image.tobytes())
    return digest.hexdigest()


class DecodingRecord:
    """Shared by the splits of one data set; grows as they decode.

    Parameters
    ----------
    n_images : number of images in all splits.
    max_bad : fraction of `n_images` that may be unreadable.
    """

    def __init__(self, n_images: int, max_bad: float) -> None:
        self._n_images = n_images
        self._max_bad = max_bad
        self._bad: dict[str, str] = {}
        self._digests: dict[str, tuple[str, str]] = {}

    def add_image(self, split: str, path: str, digest: str) -> None:
        self._digests[path] = (split, digest)

    def add_bad(self, path: str, reason: str) -> None:
        """Note an unreadable image. Raises DataError when there are now too many of them."""
        self._bad[path] = reason
        if len(self._bad) > self._max_bad * self._n_images:
            raise DataError(
                f"{len(self._bad)} of {self._n_images} images cannot be read, more than a fraction "
                f"of {self._max_bad:g}; the last: {path} ({reason})\n"
                "mend or remove them, or allow more with --max-bad"
            )

    def is_bad(self, path: str) -> bool:
        return path in self._bad

    def bad_images(self) -> list[BadImage]:
        return [BadImage(path, reason) for path, reason in sorted(self._bad.items())]

    def duplicates(self) -> list[DuplicateImage]:
        """Pictures that occur in more than one split, among those decoded so far."""
        places = defaultdict(list)
        for path, (split, digest) in sorted(self._digests.items()):
            places[digest].append((path, split))
        return [
            DuplicateImage(*map(tuple, zip(*found, strict=True)))
            for found in places.values()
            if len({split for _, split in found}) > 1
        ]

    def content_fingerprint(self) -> str:
        """SHA-256 over path and pixels of every image decoded so far, in whatever order."""
        digest = hashlib.sha256()
        for path, (split, pixels) in sorted(self._digests.items()):
            line = f"{split}\0{path}\0{pixels}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()
