"""A data set as every other room sees it: three splits, classes, where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from autoplace.data._record import BadImage, DecodingRecord, DuplicateImage
from autoplace.data._split import ImageSplit

FamilySource = Literal["given", "builtin", "default"]


def default_family(digests: tuple[str, ...], fingerprint: str) -> str:
    """Name the family of a data set by its images: `images-` and the smallest digest.

    Not by its folder: `a/images` and `b/images` have nothing in common, and copies of the same
    images under two names have all. Data of one default family share at least the image with that
    digest. Most images can be added or removed without changing it.

    Parameters
    ----------
    digests : tuple of str
        Digests of sampled images, sorted.
    fingerprint : str
        Fingerprint of the data set, which names a family of its own where no image could be read.
    """
    return f"images-{(digests[0] if digests else fingerprint)[:8]}"


@dataclass(frozen=True)
class TaskData:
    """An image-classification data set with its three splits.

    Validation picks; test is read once, for the winner and the baselines.

    Parameters
    ----------
    name : short name for people, e.g. "shapes-count".
    source : what was given to `load_data`.
    family : the source or generator the images come from; held-out evaluation never divides it.
    family_source : "given" by the user, that of a "builtin" task, or the "default".
    group : "natural", "specialised" or "structured" as in VTAB; "user" for a user's own data.
    classes : class names; a label is an index into them.
    fingerprint : SHA-256 over paths, sizes, labels, splits and some files' contents.
    image_digests : the smallest digests of the sampled files' contents.
    notes : what a user should know of how the data was read, one sentence each.
    """

    name: str
    source: str
    family: str
    family_source: FamilySource
    group: str
    classes: tuple[str, ...]
    train: ImageSplit
    val: ImageSplit
    test: ImageSplit
    fingerprint: str
    record: DecodingRecord = field(repr=False)
    image_digests: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def splits(self) -> tuple[ImageSplit, ImageSplit, ImageSplit]:
        return self.train, self.val, self.test

    def content_fingerprint(self) -> str:
        """SHA-256 over the pixels of every image decoded so far."""
        return self.record.content_fingerprint()

    def bad_images(self) -> list[BadImage]:
        """Images found unreadable so far, by path."""
        return self.record.bad_images()

    def duplicates(self) -> list[DuplicateImage]:
        """Equal pictures in different splits, among the images decoded so far."""
        return self.record.duplicates()

    def profile(self) -> dict[str, Any]:
        """Counts per split and class, for MLflow's data set input; plain JSON values."""
        counts = {
            split.name: np.bincount(split.labels, minlength=len(self.classes)).tolist()
            for split in self.splits
        }
        return {
            "n_classes": len(self.classes),
            "n_images": {split.name: len(split) for split in self.splits},
            "class_counts": {
                name: dict(zip(self.classes, row, strict=True)) for name, row in counts.items()
            },
            "n_bad_images": len(self.bad_images()),
        }
