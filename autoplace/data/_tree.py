"""The tree of an image folder: which images each folder holds, and what was skipped on the way."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from autoplace.data._decoding import SUFFIXES
from autoplace.data._names import shorten

# Made by operating systems, network drives, archives and tools; lower case.
_SYSTEM = frozenset(
    (
        *("@eadir", "@tmp", "@recycle", "@recently-snapshot", ".@__thumb", "#recycle", "#snapshot"),
        *("$recycle.bin", "recycler", "system volume information", "found.000", "lost+found"),
        *("__macosx", ".appledouble", ".fseventsd", ".spotlight-v100", ".temporaryitems"),
        *(".trash", ".trashes", ".thumbnails", ".snapshot", ".snapshots", ".zfs", ".stversions"),
        *(".ipynb_checkpoints", "__pycache__", ".cache", ".git", ".svn", ".hg", ".dvc", ".venv"),
    )
)
_SYSTEM_PREFIXES = (".trash-", "._", ".nfs", ".fuse_hidden")
_SILENT = frozenset(("thumbs.db", "desktop.ini"))
_LINKS_FOLLOWED = 2  # levels at which a link may lead to a folder of the same data: val -> test


@dataclass(frozen=True)
class Entry:
    """An image file: its name, the path to open, and its bytes, or -1 for a broken link.

    `target` is the file that a link leads to; None for a file that is no link.
    """

    name: str
    path: str
    n_bytes: int
    target: str | None = None


@dataclass(frozen=True)
class Folder:
    """A folder with its images, its other visible files, and its folders, all sorted by name.

    `hidden` are folders whose name starts with a dot; they are not read.
    """

    name: str
    path: str
    images: list[Entry] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    @cached_property
    def n_images(self) -> int:
        """Images in this folder, to any depth."""
        return len(self.images) + sum(each.n_images for each in self.folders)

    @property
    def full(self) -> list[Folder]:
        """Folders in this folder that hold images, to any depth."""
        return [each for each in self.folders if each.n_images]

    def walk(self) -> Iterator[Folder]:
        """Yield this folder and all folders below it."""
        yield self
        for each in self.folders:
            yield from each.walk()


@dataclass
class Skipped:
    """What is not read, by reason."""

    system: Counter[str] = field(default_factory=Counter)
    hidden_images: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """Say what was skipped, one sentence for each reason."""
        found = []
        if self.system:
            names = [
                f"{name} ({count} times)" if count > 1 else name
                for name, count in sorted(self.system.items())
            ]
            found.append(f"system files and folders ignored: {shorten(names, 6)}")
        if self.hidden_images:
            found.append(
                f"images whose names start with a dot ignored: {shorten(self.hidden_images)}"
            )
        if self.links:
            found.append(
                f"links to folders of the same data ignored, so that no image counts twice: "
                f"{shorten(self.links)}"
            )
        return found


def read_tree(folder: Path) -> tuple[Folder, Skipped]:
    """Read a folder's tree; files are not opened.

    Links to files are files. A link to a folder is followed, unless it leads back to a folder above
    it or, deep in the tree, to a folder of the same data.

    Raises
    ------
    OSError
        If a folder cannot be read.
    """
    skipped = Skipped()
    root = os.path.realpath(folder)
    return _read(folder.name, str(folder), (root,), skipped), skipped


def list_images(folder: Path) -> list[str]:
    """Paths of the files named like images in a folder, to any depth, without those of the system.

    Raises
    ------
    OSError
        A folder cannot be read.

    Examples
    --------
    >>> for name in ("b.png", "a/c.JPG", "@eaDir/b.png", "notes.txt"):
    ...     Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
    ...     Path("photos", name).touch()
    >>> list_images(Path("photos"))
    ['photos/b.png', 'photos/a/c.JPG']
    """
    tree, _ = read_tree(folder)
    return [image.path for each in tree.walk() for image in each.images]


def _read(name: str, path: str, above: tuple[str, ...], skipped: Skipped) -> Folder:
    found = Folder(name, path)
    with os.scandir(path) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        lower = entry.name.lower()
        if lower in _SYSTEM or lower.startswith(_SYSTEM_PREFIXES):
            if not lower.startswith(".") or entry.is_dir():
                skipped.system[entry.name] += 1
            elif lower.startswith("._"):
                skipped.system["._*"] += 1
        elif entry.is_dir():
            if entry.name.startswith("."):
                found.hidden.append(entry.path)
            elif entry.is_symlink():
                target = os.path.realpath(entry.path)
                if _leads_back(target, above):
                    skipped.links.append(entry.name)
                else:
                    found.folders.append(_read(entry.name, entry.path, (*above, target), skipped))
            else:
                inner = (*above, os.path.join(above[-1], entry.name))
                found.folders.append(_read(entry.name, entry.path, inner, skipped))
        elif entry.name.startswith("."):
            if lower.endswith(SUFFIXES):
                skipped.hidden_images.append(entry.name)
        elif lower not in _SILENT:
            _add_file(found, entry)
    return found


def _leads_back(target: str, above: tuple[str, ...]) -> bool:
    """Return whether a link would find a folder again: above it, or deep within the same data."""
    if any(os.path.commonpath((folder, target)) == target for folder in above):
        return True
    inside = target.startswith(above[0] + os.sep)
    return inside and len(above) > _LINKS_FOLLOWED


def _add_file(folder: Folder, entry: os.DirEntry[str]) -> None:
    exists = os.path.exists(entry.path)
    if not entry.name.lower().endswith(SUFFIXES) or (exists and not entry.is_file()):
        folder.others.append(entry.path)
        return
    size = entry.stat().st_size if exists else -1
    target = os.path.realpath(entry.path) if entry.is_symlink() else None
    folder.images.append(Entry(entry.name, entry.path, size, target))


def without_stores(folder: Folder, notes: list[str]) -> Folder:
    """Leave out folders most of whose files are those that links in other folders lead to."""
    linked_from: dict[str, set[str]] = defaultdict(set)
    for each in folder.walk():
        for image in each.images:
            if image.target is not None:
                linked_from[image.target].add(each.path)
    if not linked_from:
        return folder

    def is_store(each: Folder) -> bool:
        files = [*(image.path for image in each.images), *each.others]
        sources = [linked_from.get(os.path.realpath(path), set()) for path in files]
        n_linked = sum(map(bool, sources))
        return not each.full and 2 * n_linked > len(files) and len(set().union(*sources)) > 1

    stores = [each.name for each in folder.folders if is_store(each)]
    if not stores:
        return folder
    notes.append(f"folders of the files that links lead to ignored: {shorten(stores)}")
    return replace(folder, folders=[each for each in folder.folders if each.name not in stores])


def holds_image(hidden: str) -> bool:
    """Return whether a folder that is not read holds a file with an image's name."""
    return any(
        file.lower().endswith(SUFFIXES) and not file.startswith(".")
        for _, _, files in os.walk(hidden)
        for file in files
    )
