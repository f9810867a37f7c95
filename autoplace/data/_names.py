"""Names of files and classes: how they are compared, shown, and which are refused."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable

from autoplace.data._errors import DataError


def composed(name: str) -> str:
    """Return a name in composed Unicode (NFC).

    Two names that look the same can be stored in two ways, for example after a copy from macOS.
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def shown(name: str) -> str:
    r"""Write a name for a message: bytes that are not UTF-8 and control characters as escapes.

    >>> shown("caf\udce9 \x1b[2J.png")
    'caf\\xe9 \\x1b[2J.png'
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def spelled(name: str) -> str:
    """Write a name with the code points that tell it from one that looks the same."""
    return name.encode("ascii", "backslashreplace").decode()


def shorten(names: Iterable[str], limit: int = 3) -> str:
    """Join the first names and the number of other names, for a note."""
    names = list(names)
    text = ", ".join(map(shown, names[:limit]))
    return text if len(names) <= limit else f"{text} and {len(names) - limit} more"


def check_utf8(paths: Iterable[str]) -> None:
    """Raise DataError if a path is not UTF-8, which MLflow, JSON and Parquet cannot record."""
    bad = [path for path in paths if not _is_utf8(path)]
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise DataError(
            f"the name '{shown(bad[0])}' is not UTF-8{more}\nrename it, or convert all names, "
            f"for example with 'convmv -f latin1 -t utf8 -r --notest {_folder_hint(bad[0])}'"
        )


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _folder_hint(path: str) -> str:
    """The deepest folder above a name that is itself UTF-8."""
    folder = os.path.dirname(path)
    while not _is_utf8(folder):
        folder = os.path.dirname(folder)
    return shown(folder) or "."
