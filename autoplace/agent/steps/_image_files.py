"""The image files that the arguments of `predict` mean."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from autoplace.data import list_images


def find_images(given: Iterable[str | Path]) -> Iterator[tuple[str, str | None]]:
    """Yield each image file, or what was given in its place with the reason why it means none.

    Parameters
    ----------
    given : iterable of str or path
        Files of any name, folders, which are searched to any depth for files that are named like
        images, and patterns such as `photos/**/*.jpg`.

    Yields
    ------
    tuple of str and (str or None)
        The path, and None; or what was given, and what is wrong with it.
    """
    for each in given:
        text = str(each)
        found = [text]
        if os.path.isdir(text):
            try:
                found = list_images(Path(text))
            except OSError as error:
                yield text, f"cannot be read: {error.strerror or error}"
                continue
            if not found:
                yield text, "no images in this folder"
        elif not os.path.lexists(text) and glob.has_magic(text):
            found = sorted(path for path in glob.glob(text, recursive=True) if os.path.isfile(path))
            if not found:
                yield text, "no file matches this pattern"
        yield from ((path, None) for path in found)


def read_path_list(content: bytes) -> list[str]:
    r"""Read a list of paths: one a line, or separated by null characters, as `find -print0` does.

    Examples
    --------
    >>> read_path_list(b"a.png\nb c.png\n\n")
    ['a.png', 'b c.png']
    """
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]
