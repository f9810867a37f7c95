"""Image folders: split folders with class folders in them, or class folders alone."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from autoplace.data._classes import class_folders
from autoplace.data._errors import DataError
from autoplace.data._listing import ImageFile, Listing
from autoplace.data._names import composed, shorten, shown
from autoplace.data._suffixes import unsupported_suffix
from autoplace.data._table import SUFFIXES as TABLE_SUFFIXES
from autoplace.data._tree import Folder, read_tree, without_stores
from autoplace.data._which_splits import find_splits, unwrap


def list_folder(folder: Path) -> Listing:
    """List the images of a folder by name and size, without opening them.

    Each class is a folder with the name of the class, which is searched to any depth. Wrapper
    folders, as archives create, are looked into. System folders are ignored.

    Raises
    ------
    DataError
        If the folder cannot be read, has no class folders, can be read in two ways, has splits but
        no train, or has a class whose images cannot be read.
    """
    try:
        tree, skipped = read_tree(folder)
    except OSError as error:
        raise DataError(
            f"cannot read {shown(os.fspath(error.filename))}: {error.strerror}; "
            "check the path and its permissions"
        ) from error
    listing = Listing(folder.resolve().name or "data", [])
    tree = without_stores(tree, listing.notes)
    root = unwrap(tree, outermost=True)
    if root is not tree:
        inner = os.path.relpath(root.path, tree.path)
        listing.notes.append(f"looked inside '{shown(inner)}', the only folder with images")
        root = without_stores(root, listing.notes)
    hint = _table_hint(tree, root)
    splits = find_splits(root, listing.notes, hint)
    for split, parent in splits.items() or [(None, root)]:
        _add(listing, root, parent, split, hint)
    containers = {each.path: each for each in (tree, root, *splits.values())}
    listing.notes.extend([*_ignored(tree, list(containers.values())), *skipped.notes()])
    return listing


def _table_hint(tree: Folder, root: Folder) -> str:
    """Name a table in the folder, which may be what the user should give as DATA."""
    files = [*root.others, *tree.others]
    # A text file beside images is more often a description.
    suffixes = tuple(suffix for suffix in TABLE_SUFFIXES if suffix != ".txt")
    tables = [path for path in files if path.lower().endswith(suffixes)]
    return f", or give the table '{shown(tables[0])}' as DATA" if tables else ""


def _add(listing: Listing, root: Folder, parent: Folder, split: str | None, hint: str) -> None:
    """Add the images of the class folders of a split, or of the whole data."""
    prefix = len(os.path.join(root.path, ""))
    for folder in class_folders(parent, listing.notes, hint):
        label = composed(folder.name)
        for each in folder.walk():
            for image in each.images:
                # Building a Path for each file is slow.
                key = image.path[prefix:].replace(os.sep, "/")
                listing.files.append(ImageFile(key, image.path, image.n_bytes, label, split))


def _ignored(tree: Folder, containers: list[Folder]) -> list[str]:
    """Say which images are outside the classes, and which files are no images."""
    prefix = len(os.path.join(tree.path, ""))
    loose = [image.path[prefix:] for each in containers for image in each.images]
    unsupported: Counter[str] = Counter()
    others, hidden = [], []
    for folder in tree.walk():
        hidden += [path[prefix:] for path in folder.hidden]
        for path in folder.others:
            suffix = unsupported_suffix(path)
            if suffix:
                unsupported[suffix] += 1
            else:
                others.append(path[prefix:])
    notes = []
    if loose:
        notes.append(f"{len(loose)} images outside the class folders ignored: {shorten(loose)}")
    if unsupported:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(unsupported.items()))
        notes.append(f"pictures in unsupported formats ignored: {counts}; convert them to use them")
    if others:
        notes.append(f"not image files, ignored: {shorten(others)}")
    if hidden:
        notes.append(f"folders whose names start with a dot ignored: {shorten(hidden)}")
    return notes
