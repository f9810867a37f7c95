"""The image files that the arguments of `predict` mean."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from autoplace.data import SUFFIXES

# What systems and programs put into folders of pictures: thumbnails, trash, half-written files.
_SYSTEM = frozenset({"@eaDir", "$RECYCLE.BIN", "System Volume Information", "__MACOSX",
                     "lost+found"})  # fmt: skip


def find_images(given: Iterable[str | Path]) -> Iterator[tuple[str, str | None]]:
    """Yield each image file, or what was given in its place with the reason why it means none.

    Parameters
    ----------
    given : iterable of str or path
        Files of any name, folders, which are searched to any depth for files that are named like
        images, and patterns such as `photos/**/*.jpg`. A file is taken once for each time it is
        given.

    Yields
    ------
    tuple of str and (str or None)
        The path, and None; or what was given, and what is wrong with it.
    """
    for each in map(os.fspath, given):
        if os.path.isdir(each):
            found = list(_in_folder(Path(each)))
            if not found:
                yield each, f"no images in this folder (files that end in {', '.join(SUFFIXES)})"
        elif not os.path.lexists(each) and glob.has_magic(each):
            found = sorted(path for path in glob.glob(each, recursive=True) if os.path.isfile(path))
            if not found:
                yield each, "no file matches this pattern"
        else:
            found = [each]
        yield from ((path, None) for path in found)


def read_list(content: bytes) -> list[str]:
    """Read a list of paths: one a line, or separated by null characters, as `find -print0` does.

    Examples
    --------
    >>> read_list(b"a.png\nb c.png\n\n")
    ['a.png', 'b c.png']
    """
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _in_folder(folder: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and n not in _SYSTEM)
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield os.path.join(parent, name)
