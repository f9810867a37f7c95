"""A data set as other packages see it: three splits, classes, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from autoplace.data._reading import PictureReading
from autoplace.data._record import BadImage, DecodingRecord, DuplicateImage
from autoplace.data._split import ImageSplit
from predictors.vocabulary import FamilySource


def default_family(digests: tuple[str, ...], fingerprint: str) -> str:
    """Name the family of a data set after its images: `images-` and part of the smallest digest.

    The folder's name is not used, because `a/images` and `b/images` may have nothing in common and
    two copies of the same images may have different names. Data sets with the same default family
    share at least the image with that digest. Adding or removing other images rarely changes it.

    Parameters
    ----------
    digests : tuple of str
        Digests of sampled images, sorted.
    fingerprint : str
        Fingerprint of the data set, used instead if no image could be read.
    """
    return f"images-{(digests[0] if digests else fingerprint)[:8]}"


@dataclass(frozen=True)
class TaskData:
    """An image-classification data set with its three splits; `load_data` makes it.

    Placements are chosen on validation images; test images are read once, for the winner and the
    baselines.

    Parameters
    ----------
    name : str
        Short name for people, such as "shapes-count".
    source : str
        The source given to `load_data`.
    family : str
        The source or generator of the images. Evaluation on held-out data never divides it.
    family_source : {"given", "builtin", "default"}
        Whether the user gave the family, a built-in task defines it, or it is the default.
    group : str
        "natural", "specialised" or "structured" as in VTAB; "user" for a user's own data.
    classes : tuple of str
        Class names; a label is an index into them.
    train, val, test : ImageSplit
        The splits.
    fingerprint : str
        SHA-256 of the paths, sizes, labels and splits of all images and of the contents of some;
        known before any image is decoded.
    record : DecodingRecord
        Results of the images decoded so far.
    measurement : ImageSplit or None, default=None
        More images of a built-in task, only for the placement log: predictors learn from what is
        measured on them. None unless `load_data` was asked to measure and the source has more.
    image_digests : tuple of str, default=()
        The 64 smallest digests of sampled files, sorted. Data sets that share images have digests
        in common. Empty for built-in tasks, whose family is fixed.
    groups : ndarray or None, default=None
        Group number of each image of `fit`, of shape (images,); None if the data has no groups.
    made_val : bool, default=False
        Whether val was taken from train by this tool instead of given by the user.
    reading : PictureReading, optional
        How image files are read; a model that was trained on them reads others so.
    notes : list of str
        Notes for the user on how the data was read, one sentence each.

    Examples
    --------
    >>> from autoplace.data import create_transform, load_data
    >>> transform = create_transform({"input_size": [3, 8, 8]})
    >>> data = load_data("builtin:shapes-size", transform=transform)
    >>> data.classes
    ('tiny', 'small', 'medium', 'large', 'huge')
    >>> data.family, str(data.family_source), data.group
    ('shapes', 'builtin', 'structured')
    >>> data.profile()["n_images"]
    {'train': 800, 'val': 200, 'test': 2000}
    >>> len(data.fit), data.made_val, data.groups
    (1000, True, None)
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
    measurement: ImageSplit | None = None
    image_digests: tuple[str, ...] = ()
    groups: np.ndarray | None = field(default=None, repr=False, compare=False)
    made_val: bool = False
    reading: PictureReading = field(default_factory=PictureReading)
    notes: list[str] = field(default_factory=list)

    @property
    def splits(self) -> tuple[ImageSplit, ImageSplit, ImageSplit]:
        """Train, val and test."""
        return self.train, self.val, self.test

    @cached_property
    def fit(self) -> ImageSplit:
        """All images that may be trained on: those of train, then those of val.

        Folds and refits use it. Its images are still recorded as images of train and val.
        """
        return self.train.joined(self.val, "fit")

    def content_fingerprint(self) -> str:
        """Compute the SHA-256 of the pixels of all images decoded so far."""
        return self.record.content_fingerprint()

    def bad_images(self) -> list[BadImage]:
        """List the images found unreadable so far, sorted by path."""
        return self.record.bad_images()

    def duplicates(self) -> list[DuplicateImage]:
        """List equal pictures in different splits, among the images decoded so far."""
        return self.record.duplicates()

    def class_counts(self) -> dict[str, dict[str, int]]:
        """Count the images of each class in train, val and test."""
        counts = {
            split.name: np.bincount(split.labels, minlength=len(self.classes)).tolist()
            for split in self.splits
        }
        return {
            label: {split: row[index] for split, row in counts.items()}
            for index, label in enumerate(self.classes)
        }

    def profile(self) -> dict[str, Any]:
        """Count images per split and class, in plain JSON values, for MLflow's data set input."""
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
