"""Load the data set that a user gives as DATA."""

from __future__ import annotations

import difflib
import os
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from autoplace.data import _manifest
from autoplace.data._contents import content_digests, smallest_digests
from autoplace.data._decoding import MAX_PIXELS
from autoplace.data._errors import DataError
from autoplace.data._fingerprint import fingerprint
from autoplace.data._folder import list_folder
from autoplace.data._listing import ImageFile, Listing, shorten
from autoplace.data._record import DecodingRecord
from autoplace.data._split import ImageSplit
from autoplace.data._splitting import HELD_OUT_FRACTION, carve
from autoplace.data._task_data import TaskData, default_family
from autoplace.data._transforms import ImageTransform
from autoplace.data._value_range import find_reading
from autoplace.data.builtin import PREFIX, list_builtin, load_builtin
from predictors.vocabulary import FamilySource

SPLITS = ("train", "val", "test")
MIN_IMAGES = 4  # of each class: two to train on, one to validate, one to test


def load_data(
    source: str | os.PathLike[str],
    *,
    transform: ImageTransform,
    seed: int = 0,
    max_bad: float = 0.05,
    family: str | None = None,
    measure: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> TaskData:
    """Read a data set's list of images, classes and splits.

    No image is decoded yet, but a sample of those of more than 8 bits, to find the range of values
    that they use.

    Parameters
    ----------
    source : str or path-like
        An image folder, a .csv or .parquet manifest, or "builtin:NAME".
    transform : ImageTransform
        Maps an RGB picture to a tensor of shape (3, height, width); see `create_transform`.
    seed : int, default=0
        Seed of the splits that the data lacks, and of generated pictures.
    max_bad : float, default=0.05
        Fraction of the images that may be unreadable.
    family : str or None, default=None
        The source of the images. The default is a built-in task's own family; for other data it is
        a name made from the contents of the images, so that copies of the same images are one
        family.
    measure : bool, default=False
        Whether a built-in task gets its measurement split; other data has none.
    max_pixels : int, default=89_478_485
        Most pixels of an image that are decoded. Larger JPEG and JPEG 2000 images are decoded at a
        reduced size; others are unreadable.

    Returns
    -------
    TaskData
        Its images are decoded when they are needed.

    Raises
    ------
    DataError
        If an option or the data cannot be used.

    Examples
    --------
    >>> from autoplace.data import create_transform, load_data
    >>> transform = create_transform({"input_size": [3, 32, 32]})
    >>> data = load_data("builtin:digits", transform=transform)
    >>> [(split.name, len(split)) for split in data.splits]
    [('train', 800), ('val', 200), ('test', 797)]
    >>> data.train.load([0, 1]).images.shape
    torch.Size([2, 3, 32, 32])
    """
    if not 0 <= max_bad <= 1:
        raise DataError(f"max-bad is {max_bad:g}; it must be between 0 and 1")
    if seed < 0:
        raise DataError(f"seed is {seed}; it must be 0 or a positive whole number")
    text = os.fspath(source)
    if text.startswith(PREFIX):
        return load_builtin(
            text,
            transform=transform,
            seed=seed,
            max_bad=max_bad,
            family=family,
            measure=measure,
        )
    listing = _list(text)
    files = sorted(listing.files, key=lambda file: file.key)
    _check_classes(text, files)
    _check_presence(text, files, max_bad)
    made_val = not any(file.split == "val" for file in files)
    files = _complete_splits(text, files, seed, listing.notes)
    classes = _check_splits(text, files, listing.notes)
    return _build(
        text,
        replace(listing, files=files),
        classes,
        transform=transform,
        max_bad=max_bad,
        family=family,
        made_val=made_val,
        max_pixels=max_pixels,
    )


def _list(text: str) -> Listing:
    path = Path(text).expanduser()
    if os.path.isdir(path):
        return list_folder(path)
    if os.path.isfile(path):
        if path.suffix.lower() in _manifest.SUFFIXES:
            return _manifest.list_manifest(path)
        raise DataError(
            f"'{text}' is neither a folder nor a manifest; "
            f"the name of a manifest ends in {' or '.join(_manifest.SUFFIXES)}"
        )
    names = [name.removeprefix(PREFIX) for name in list_builtin()]
    near = difflib.get_close_matches(text, names, n=1)
    hint = (
        f"did you mean '{PREFIX}{near[0]}'?"
        if near
        else "'autoplace tasks' lists the built-in tasks"
    )
    raise DataError(f"no such folder or manifest: '{text}'; {hint}")


def _check_classes(text: str, files: list[ImageFile]) -> None:
    counts = Counter(file.label for file in files)
    if not files:
        raise DataError(
            f"no images in '{text}'; each class needs a folder with at least {MIN_IMAGES} images"
        )
    if len(counts) == 1:
        raise DataError(
            f"'{text}' has only one class, '{next(iter(counts))}'; at least two are needed, "
            "each with its own folder or label"
        )
    few = sorted(label for label, count in counts.items() if count < MIN_IMAGES)
    if few:
        raise DataError(
            f"class '{few[0]}' in '{text}' has {counts[few[0]]} images, but at least {MIN_IMAGES} "
            f"are needed{f' (also in {len(few) - 1} more classes)' if len(few) > 1 else ''}; "
            "add images or remove the class"
        )


def _check_presence(text: str, files: list[ImageFile], max_bad: float) -> None:
    absent = [file for file in files if file.n_bytes < 0]
    if len(absent) > max_bad * len(files):
        raise DataError(
            f"{len(absent)} of {len(files)} images in '{text}' do not exist, the first: "
            f"{absent[0].path}\ncorrect the paths: they are relative to the manifest's folder"
        )


def _complete_splits(
    text: str, files: list[ImageFile], seed: int, notes: list[str]
) -> list[ImageFile]:
    """Take the splits that the data lacks from the training images."""
    present = {file.split or "train" for file in files}
    if "train" not in present:
        raise DataError(f"'{text}' has no training images; put some images in train")
    _check_groups(text, files)
    missing = [split for split in ("val", "test") if split not in present]
    if not missing:
        return files
    pool = [file for file in files if (file.split or "train") == "train"]
    groups = [file.group for file in pool if file.group is not None]
    carved = carve([file.label for file in pool], missing, seed=seed, groups=groups or None)
    notes.append(
        f"{' and '.join(missing)} taken from train, about {HELD_OUT_FRACTION:.0%} each, "
        f"stratified{', groups kept together' if groups else ''}, seed {seed}"
    )
    new_split = {file.key: split for file, split in zip(pool, carved, strict=True)}
    return [file.in_split(new_split.get(file.key, file.split)) for file in files]


def _check_groups(text: str, files: list[ImageFile]) -> None:
    splits_of = defaultdict(set)
    for file in files:
        if file.group is not None and file.split is not None:
            splits_of[file.group].add(file.split)
    for group, splits in splits_of.items():
        if len(splits) > 1:
            raise DataError(
                f"group '{group}' in '{text}' is in {' and '.join(sorted(splits))}; "
                "put all its images in one split, or remove the split column"
            )


def _check_splits(text: str, files: list[ImageFile], notes: list[str]) -> tuple[str, ...]:
    """Return the classes, sorted by name. Raises DataError for one that is not in train."""
    labels = {split: {f.label for f in files if f.split == split} for split in SPLITS}
    for split in ("val", "test"):
        if not labels[split]:
            raise DataError(
                f"no images are left for {split} in '{text}'; "
                "add images, make groups smaller or add a split column"
            )
        unknown = sorted(labels[split] - labels["train"])
        if unknown:
            raise DataError(
                f"class '{unknown[0]}' is in {split} but not in train of '{text}'; "
                "add images of it to train (or make groups smaller), or remove the class"
            )
        absent = sorted(labels["train"] - labels[split])
        if absent:
            notes.append(f"classes without an image in {split}: {shorten(absent)}")
    return tuple(sorted(labels["train"]))


def _build(
    text: str,
    listing: Listing,
    classes: tuple[str, ...],
    *,
    transform: ImageTransform,
    max_bad: float,
    family: str | None,
    made_val: bool,
    max_pixels: int,
) -> TaskData:
    record = DecodingRecord(len(listing.files), max_bad)
    index_of = {label: index for index, label in enumerate(classes)}
    contents = content_digests(listing.files)

    def files_of(split: str) -> list[ImageFile]:
        return [file for file in listing.files if file.split == split]

    reading, notes = find_reading(
        (file.path for file in [*files_of("train"), *files_of("val")]), max_pixels
    )
    identity = fingerprint(
        ((str(file.split), file.key, file.label, file.n_bytes) for file in listing.files),
        contents,
        reading.changes(),
    )
    digests = smallest_digests(contents)

    def split_of(name: str) -> ImageSplit:
        files = files_of(name)
        paths = [file.path for file in files]
        return ImageSplit(
            name,
            paths,
            np.array([index_of[file.label] for file in files]),
            read=lambda index: reading(paths[index]),
            transform=transform,
            record=record,
        )

    return TaskData(
        name=listing.name,
        source=text,
        family=family or default_family(digests, identity),
        family_source=FamilySource.GIVEN if family else FamilySource.DEFAULT,
        group="user",
        classes=classes,
        train=split_of("train"),
        val=split_of("val"),
        test=split_of("test"),
        fingerprint=identity,
        image_digests=digests,
        groups=_group_numbers([*files_of("train"), *files_of("val")]),
        made_val=made_val,
        record=record,
        reading=reading,
        notes=[*listing.notes, *notes],
    )


def _group_numbers(files: list[ImageFile]) -> np.ndarray | None:
    """Return the number (files,) of each file's group, or None if the data has no groups."""
    names = [file.group for file in files]
    if None in names:
        return None
    numbers: np.ndarray = np.unique(np.array(names), return_inverse=True)[1]
    return numbers
