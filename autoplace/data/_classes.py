"""Class folders: which folders are classes, and which would vanish or are no classes at all."""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice

from autoplace.data._errors import DataError
from autoplace.data._names import composed, shorten, shown, spelled
from autoplace.data._split_names import SPLITS, read_splits
from autoplace.data._suffixes import is_picture_inside, unsupported_suffix
from autoplace.data._tree import Folder, holds_image

_OPENED = 20  # files of an empty class that are opened, to see whether they are pictures


def class_folders(parent: Folder, notes: list[str], hint: str) -> list[Folder]:
    """Return the class folders in a folder.

    Raises
    ------
    DataError
        If there are none, if two have names that look the same, if a class would be lost although
        its folder holds pictures, or if all classes hold the same folders.
    """
    classes = parent.full
    check_lost(parent)
    if not classes:
        raise DataError(
            f"no {'images in the' if parent.folders else 'class'} folders in "
            f"'{shown(parent.path)}'; put the images of each class in a folder of its own, "
            f"either directly or under train/, val/ and test/{hint}"
        )
    if len(classes) == 1 and hint:
        raise DataError(
            f"'{shown(parent.path)}' has only one folder with images, '{shown(classes[0].name)}'; "
            f"put the images of each class in a folder of its own{hint}"
        )
    _check_look_alikes(parent, classes)
    _check_nested(parent, classes)
    empty = [each.name for each in parent.folders if not each.n_images]
    if empty:
        notes.append(f"folders without images in '{shown(parent.path)}' ignored: {shorten(empty)}")
    nested = [
        f"{each.name} ({shorten(f.name for f in each.full)})" for each in classes if each.full
    ]
    if nested:
        notes.append(f"images in folders within a class belong to the class: {shorten(nested)}")
    return classes


def check_lost(parent: Folder) -> None:
    """Raise DataError if a folder in `parent` holds pictures, but none that is read."""
    for each in parent.folders:
        if not each.n_images:
            check_unread(each, "class")
    for path in parent.hidden:
        if holds_image(path):
            raise DataError(
                f"'{shown(path)}' holds images, but folders whose names start with a dot are not "
                "read; rename it if it is a class, or move it away"
            )


def check_unread(folder: Folder, what: str) -> None:
    """Raise DataError if a folder without images holds files that a person would call images."""
    files = [path for each in folder.walk() for path in each.others]
    suffixes = Counter(filter(None, map(unsupported_suffix, files)))
    if suffixes:
        (suffix, count), *_ = suffixes.most_common(1)
        raise DataError(
            f"{what} '{shown(folder.path)}' has no images in a supported format, but {count} "
            f"{suffix} files; convert them to PNG or JPEG, or move the folder away"
        )
    pictures = [path for path in islice(files, _OPENED) if is_picture_inside(path)]
    if pictures:
        raise DataError(
            f"{what} '{shown(folder.path)}' holds images without an image's suffix, such as "
            f"'{shown(os.path.basename(pictures[0]))}'; rename them, for example to .jpg, or move "
            "the folder away"
        )


def _check_look_alikes(parent: Folder, classes: list[Folder]) -> None:
    seen: dict[str, str] = {}
    for each in classes:
        other = seen.setdefault(composed(each.name), each.name)
        if other != each.name:
            raise DataError(
                f"'{shown(parent.path)}' has two folders '{shown(each.name)}' that differ only in "
                f"Unicode: '{spelled(other)}' and '{spelled(each.name)}'; merge or rename them"
            )


def _check_nested(parent: Folder, classes: list[Folder]) -> None:
    """Refuse folders that are probably not classes: all of them hold the same folders."""
    if len(classes) < 2:
        return
    inner = [{composed(each.name).casefold() for each in folder.full} for folder in classes]
    splits = set(read_splits(sorted(set().union(*inner))).values()) & set(SPLITS)
    names = shorten(each.name for each in classes)
    if len(splits) > 1:
        raise DataError(
            f"the folders in '{shown(parent.path)}' ({names}) hold split folders such as "
            f"{shorten(sorted(set().union(*inner)))}\n"
            "put the splits outside and the classes inside, as in train/CLASS, test/CLASS"
        )
    same = sorted(set.intersection(*inner))
    if len(same) > 1:
        raise DataError(
            f"all folders in '{shown(parent.path)}' ({names}) hold the same folders "
            f"({shorten(same)}), so either may be the classes\n"
            f"if {shorten(same)} are the classes, rename the outer folders to train, val and test "
            "or merge them; else remove the inner folders"
        )
