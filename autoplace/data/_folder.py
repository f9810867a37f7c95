"""Image folders: train/, val/ and test/ with class folders in them, or class folders alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from autoplace.data._decoding import SUFFIXES
from autoplace.data._errors import DataError
from autoplace.data._listing import SPLIT_NAMES, ImageFile, Listing, shorten


def list_folder(folder: Path) -> Listing:
    """List the images of a folder by name and size, without opening them.

    Each class is a folder with the name of the class, which is searched to any depth. Hidden
    entries are ignored.

    Raises
    ------
    DataError
        If the folder cannot be read, has no class folders, has split folders but no train/, or
        has an empty class folder.
    """
    try:
        return _list_folder(folder)
    except OSError as error:
        raise DataError(
            f"cannot read {error.filename}: {error.strerror}; check the path and its permissions"
        ) from error


def _list_folder(folder: Path) -> Listing:
    name = folder.resolve().name or "data"
    listing = Listing(name, [])
    directories = _directories(folder)
    if not directories:
        raise DataError(
            f"no class folders in '{folder}'; put the images of each class in a folder of its own, "
            "either directly or under train/, val/ and test/"
        )
    split_folders = _split_folders(folder, directories)
    if not split_folders:
        _add_classes(listing, folder, folder, None)
        return listing
    for split, directory in split_folders.items():
        _add_classes(listing, folder, folder / directory, split)
    others = [d for d in directories if d not in split_folders.values()]
    if others:
        listing.notes.append(f"not a split, ignored: {shorten(others)}")
    return listing


def _split_folders(folder: Path, directories: list[str]) -> dict[str, str]:
    """Map split names to directory names; empty for a folder of class folders alone."""
    found: dict[str, str] = {}
    for directory in directories:
        split = SPLIT_NAMES.get(directory.lower())
        if split is None:
            continue
        if split in found:
            raise DataError(
                f"'{folder}' has both {found[split]}/ and {directory}/; keep one {split} folder"
            )
        found[split] = directory
    if found and "train" not in found:
        raise DataError(
            f"'{folder}' has {', '.join(f'{d}/' for d in found.values())} but no train/; add it "
            "(or rename any class that has the name of a split)"
        )
    return found


def _add_classes(listing: Listing, root: Path, parent: Path, split: str | None) -> None:
    ignored: list[str] = []
    prefix = len(os.path.join(root, ""))
    loose = [entry.name for entry in _visible(parent) if not entry.is_dir()]
    if loose:
        listing.notes.append(
            f"files outside the class folders of '{parent}', ignored: {shorten(loose)}"
        )
    for label in _directories(parent):
        n_before = len(listing.files)
        for entry in _files(parent / label):
            key = entry.path[prefix:].replace(os.sep, "/")  # building a Path for each file is slow
            if entry.is_file() and entry.name.lower().endswith(SUFFIXES):
                size = entry.stat().st_size
                listing.files.append(ImageFile(key, entry.path, size, label, split))
            else:
                ignored.append(key)
        if split is None and len(listing.files) == n_before:
            raise DataError(
                f"class folder '{parent / label}' has no images; add at least 4, or remove it"
            )
    if ignored:
        listing.notes.append(f"not image files, ignored: {shorten(ignored)}")


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)


def _directories(folder: Path) -> list[str]:
    return [entry.name for entry in _visible(folder) if entry.is_dir()]


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    for entry in _visible(folder):
        # A link to a folder could lead back to a folder above it, and the search would never end.
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        else:
            yield entry
