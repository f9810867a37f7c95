"""Load the data set that a user gives as DATA."""

from __future__ import annotations

import difflib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from autoplace.data._checks import (
    check_classes,
    check_groups,
    check_presence,
    check_readable,
    check_splits,
)
from autoplace.data._columns import ColumnNames
from autoplace.data._contents import content_digests, smallest_digests
from autoplace.data._decoding import MAX_PIXELS
from autoplace.data._errors import DataError
from autoplace.data._fingerprint import fingerprint
from autoplace.data._folder import list_folder
from autoplace.data._listing import ImageFile, Listing
from autoplace.data._manifest import list_manifest
from autoplace.data._names import check_utf8, shown
from autoplace.data._record import DecodingRecord
from autoplace.data._split import ImageSplit
from autoplace.data._splitting import HELD_OUT_FRACTION, carve
from autoplace.data._table import SUFFIXES as TABLE_SUFFIXES
from autoplace.data._task_data import TaskData, default_family
from autoplace.data._transforms import ImageTransform
from autoplace.data._value_range import find_reading
from autoplace.data.builtin import PREFIX, list_builtin, load_builtin
from predictors.vocabulary import FamilySource


def load_data(
    source: str | os.PathLike[str],
    *,
    transform: ImageTransform,
    seed: int = 0,
    max_bad: float = 0.05,
    family: str | None = None,
    measure: bool = False,
    max_pixels: int = MAX_PIXELS,
    path_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
) -> TaskData:
    """Read a data set's list of images, classes and splits.

    Only one image of each class is decoded yet, and a sample of those of more than 8 bits, to find
    the range of values that they use.

    Parameters
    ----------
    source : str or path-like
        An image folder, a table (.csv, .tsv, .parquet), or "builtin:NAME".
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
    path_column, label_column, split_column : str or None, default=None
        Columns of a table that hold the paths, labels and splits; by default, they are found by
        their names. `split_column="none"` leaves the table's splits aside.

    Returns
    -------
    TaskData
        Its other images are decoded when they are needed.

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
    columns = ColumnNames(path_column, label_column, split_column)
    listing = _list(text, columns)
    files = sorted(listing.files, key=lambda file: file.key)
    check_utf8([text, listing.name, *(file.path for file in files)])
    check_classes(shown(text), files)
    check_presence(shown(text), listing, max_bad)
    made_val = not any(file.split == "val" for file in files)
    files = _complete_splits(shown(text), files, seed, listing.notes)
    classes = check_splits(shown(text), files, listing.notes)
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


def _list(text: str, columns: ColumnNames) -> Listing:
    path = Path(text).expanduser()
    if os.path.isdir(path):
        listing = list_folder(path)
        if any(columns):
            listing.notes.append("the options for columns have no effect: the data is no table")
        return listing
    if os.path.isfile(path):
        if path.suffix.lower() in TABLE_SUFFIXES:
            return list_manifest(path, columns)
        raise DataError(
            f"'{shown(text)}' is neither a folder nor a manifest; "
            f"the name of a manifest ends in {', '.join(TABLE_SUFFIXES)}"
        )
    names = [name.removeprefix(PREFIX) for name in list_builtin()]
    near = difflib.get_close_matches(text, names, n=1)
    hint = (
        f"did you mean '{PREFIX}{near[0]}'?"
        if near
        else "'autoplace tasks' lists the built-in tasks"
    )
    raise DataError(f"no such folder or manifest: '{shown(text)}'; {hint}")


def _complete_splits(
    text: str, files: list[ImageFile], seed: int, notes: list[str]
) -> list[ImageFile]:
    """Take the splits that the data lacks from the training images."""
    present = {file.split or "train" for file in files}
    if "train" not in present:
        raise DataError(f"'{text}' has no training images; put some images in train")
    check_groups(text, files)
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
    check_readable(files_of("train"), reading)
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
