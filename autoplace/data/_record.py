"""Results of decoding: unreadable images, digests of pixels, equal images."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

from PIL import Image

from autoplace.data._errors import DataError


@dataclass(frozen=True)
class BadImage:
    """An image that was skipped, and the reason.

    Parameters
    ----------
    path : str
        Path of the file.
    reason : str
        Why it cannot be read, on one line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from autoplace.data import create_transform, load_data
    >>> transform = create_transform({"input_size": [3, 8, 8]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         Path(folder, name).mkdir()
    ...         for number in range(6):
    ...             Image.new("RGB", (8, 8)).save(Path(folder, name, f"{number}.png"))
    ...     _ = Path(folder, "cat", "3.png").write_bytes(b"")
    ...     data = load_data(folder, transform=transform, max_bad=0.2)
    ...     n_read = sum(len(split.load(range(len(split)))) for split in data.splits)
    >>> n_read, [(Path(bad.path).name, bad.reason) for bad in data.bad_images()]
    (11, [('3.png', 'the file is empty')])
    """

    path: str
    reason: str


@dataclass(frozen=True)
class DuplicateImage:
    """A picture that occurs in more than one split with equal decoded pixels.

    Parameters
    ----------
    paths : tuple of str
        Where the picture occurs.
    splits : tuple of str
        The split of each path.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from autoplace.data import create_transform, load_data
    >>> transform = create_transform({"input_size": [3, 8, 8]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for number in range(8):
    ...         path = Path(folder, "ab"[number % 2], f"{number}.png")
    ...         path.parent.mkdir(exist_ok=True)
    ...         Image.new("L", (8, 8), number * (number % 2)).save(path)  # those of "a" are equal
    ...     data = load_data(folder, transform=transform)
    ...     batches = [split.load(range(len(split))) for split in data.splits]
    >>> [sorted(found.splits) for found in data.duplicates()]
    [['test', 'train', 'train', 'val']]
    """

    paths: tuple[str, ...]
    splits: tuple[str, ...]


def pixel_digest(image: Image.Image) -> str:
    """Hash the size and pixels of an RGB picture; file format and metadata do not matter."""
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=16)
    digest.update(image.tobytes())
    return digest.hexdigest()


class DecodingRecord:
    """The record that the splits of a data set share and add to as they decode images.

    Parameters
    ----------
    n_images : int
        Number of images in all splits.
    max_bad : float
        Fraction of `n_images` that may be unreadable.
    """

    def __init__(self, n_images: int, max_bad: float) -> None:
        self._n_images = n_images
        self._max_bad = max_bad
        self._bad: dict[str, str] = {}
        self._digests: dict[str, tuple[str, str]] = {}

    def add_image(self, split: str, path: str, digest: str) -> None:
        """Add a decoded image and the digest of its pixels."""
        self._digests[path] = (split, digest)

    def add_bad(self, path: str, reason: str) -> None:
        """Add an unreadable image.

        Raises
        ------
        DataError
            If there are now more unreadable images than allowed.
        """
        self._bad[path] = reason
        if len(self._bad) > self._max_bad * self._n_images:
            raise DataError(
                f"{len(self._bad)} of {self._n_images} images cannot be read, which is more than "
                f"--max-bad {self._max_bad:g} allows; the last one: {path} ({reason})\n"
                "fix or remove them, or raise --max-bad"
            )

    def entries_after(
        self, n_images: int, n_bad: int
    ) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
        """Return what was added after the first decoded and unreadable images.

        Returns
        -------
        images : list of (str, str, str)
            Split, path and digest, as `add_image` takes them.
        bad : list of (str, str)
            Path and reason, as `add_bad` takes them.
        """
        images = list(self._digests.items())[n_images:]
        bad = list(self._bad.items())[n_bad:]
        return [(split, path, digest) for path, (split, digest) in images], bad

    def is_bad(self, path: str) -> bool:
        """Return whether an image has been found unreadable."""
        return path in self._bad

    def bad_images(self) -> list[BadImage]:
        """List the images found unreadable so far, sorted by path."""
        return [BadImage(path, reason) for path, reason in sorted(self._bad.items())]

    def duplicates(self) -> list[DuplicateImage]:
        """List the pictures that occur in more than one split, among those decoded so far."""
        places = defaultdict(list)
        for path, (split, digest) in sorted(self._digests.items()):
            places[digest].append((path, split))
        return [
            DuplicateImage(*map(tuple, zip(*found, strict=True)))
            for found in places.values()
            if len({split for _, split in found}) > 1
        ]

    def content_fingerprint(self) -> str:
        """Compute the SHA-256 of paths and pixels of all images decoded so far, in any order."""
        digest = hashlib.sha256()
        for path, (split, pixels) in sorted(self._digests.items()):
            line = f"{split}\0{path}\0{pixels}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()
