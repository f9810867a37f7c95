"""Tables of images: one image per row, with its path and its label."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from autoplace.data._columns import NO_SPLITS, ColumnNames, Columns, choose_columns, read_boolean
from autoplace.data._errors import DataError
from autoplace.data._listing import ImageFile, Listing
from autoplace.data._names import composed, shorten, shown
from autoplace.data._split_names import SPLITS, read_splits
from autoplace.data._table import read_table

_FORMS = {
    "padded": "spaces around paths removed",
    "windows": "backslashes in paths read as slashes",
    "unicode": "paths found in another form of Unicode",
}


def list_manifest(manifest: Path, given: ColumnNames | None = None) -> Listing:
    """List the images of a table by path and size, without opening them.

    Parameters
    ----------
    manifest : Path
        The table. Its paths are relative to its folder and must stay in it.
    given : ColumnNames, optional
        Columns that the user names; others are found by their usual names.

    Raises
    ------
    DataError
        If the table cannot be read or can be read in two ways, columns are missing, cells are
        empty, a split's name is unknown, a file is listed twice, or a path is outside the folder.
    """
    name = shown(str(manifest))
    table = read_table(manifest)
    folder = os.path.abspath(manifest.parent)
    notes = list(table.notes)
    finder = _Finder(folder)
    columns = choose_columns(name, table, given or ColumnNames(), finder.exists, notes)
    splits = _split_names(name, table.rows, columns, table.columns)
    files: list[ImageFile] = []
    row_of: dict[str, int] = {}
    for number, row in enumerate(table.rows, start=1):
        where = f"row {number} of '{name}'"
        text, label = _path(row[columns.path], where), _cell(row[columns.label], "label", where)
        key, size = finder.find(text, where)
        if key in row_of:
            first = row_of[key]
            labels = shown(files[first - 1].label), shown(composed(label))
            differ = f", as '{labels[0]}' and '{labels[1]}'" if labels[0] != labels[1] else ""
            raise DataError(
                f"'{name}' lists '{shown(key)}' twice{differ}, in rows {first} and {number}; "
                "remove one"
            )
        row_of[key] = number
        split = None
        if columns.split is not None:
            split = splits[_cell(row[columns.split], "split", where)]
        elif columns.booleans:
            split = _from_booleans(row, columns.booleans, where)
        group = None if columns.group is None else _cell(row[columns.group], "group", where)
        path = os.path.join(folder, key)
        files.append(ImageFile(key, path, size, composed(label), split, group))
    notes += [f"{_FORMS[form]}, in {count} rows" for form, count in finder.forms.items() if count]
    stem = Path(os.path.realpath(folder)).name or "data"
    return Listing(f"{stem}-{manifest.stem}", files, notes, _where_else(folder, files))


def _path(value: object, where: str) -> str:
    if isinstance(value, str) and value.strip():
        return value
    return _cell(value, "path", where)


def _cell(value: object, column: str, where: str) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as pandas writes whole numbers of a column with empty cells
    if isinstance(value, (str, int)):
        text = str(value).strip()
        if text:
            return text
    elif value is not None and value == value:  # not-a-number is a missing value
        raise DataError(
            f"{where}: {column} is of type {type(value).__name__}; use text or a whole number"
        )
    raise DataError(f"{where} has no {column}; fill it in or remove the row")


def _split_names(
    name: str, rows: list[list[object]], columns: Columns, headers: list[str]
) -> dict[str, str]:
    """Map the values of the split column to our names of splits."""
    at = columns.split
    if at is None:
        return {}
    texts = [
        _cell(row[at], "split", f"row {number} of '{name}'") for number, row in enumerate(rows, 1)
    ]
    values = list(dict.fromkeys(texts))
    found = {value: split for value, split in read_splits(values).items() if split in SPLITS}
    unknown = [value for value in values if value not in found]
    if unknown:
        row = texts.index(unknown[0]) + 1
        raise DataError(
            f"row {row} of '{name}': '{shown(unknown[0])}' in column '{shown(headers[at])}' is not "
            "the name of a split\nwrite train, val or test, or name another column with "
            f"--split-column ('{NO_SPLITS}': let the splits be made)"
        )
    spellings: dict[str, str] = {}
    for value, split in found.items():
        other = spellings.setdefault(split, value)
        if other.casefold() != value.casefold():
            raise DataError(
                f"column '{shown(headers[at])}' of '{name}' has both '{shown(other)}' and "
                f"'{shown(value)}', and both read as {split}; write train, val or test"
            )
    return found


def _from_booleans(row: list[object], booleans: dict[int, str], where: str) -> str:
    """Return the split of a row from columns such as `is_valid`."""
    true = []
    for at, split in booleans.items():
        text = _cell(row[at], "split", where)
        truth = read_boolean(text)
        if truth is None:
            raise DataError(f"{where}: '{shown(text)}' is neither true nor false; correct it")
        if truth:
            true.append(split)
    left = [split for split in ("train", "test", "val") if split not in booleans.values()]
    if len(true) > 1 or not (true or left):
        raise DataError(
            f"{where} is in {' and '.join(true) or 'no split'}; make one of its columns true"
        )
    return true[0] if true else left[0]


class _Finder:
    """Finds the files of a table's cells below its folder, and counts how they were found."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._bases = list(dict.fromkeys((folder, os.path.realpath(folder))))
        self.forms = dict.fromkeys(_FORMS, 0)

    def exists(self, text: str) -> bool:
        """Return whether a cell is the path of a file in the folder."""
        return any(
            key is not None and self._size(key) >= 0
            for key in (self._inside(form) for form, _ in _forms(text))
        )

    def find(self, text: str, where: str) -> tuple[str, int]:
        """Return the path of a cell's file below the folder, and its size; -1 if there is none.

        A link in the folder may lead elsewhere, as in the snapshots of hubs.
        """
        for form, how in _forms(text):
            key = self._inside(form)
            size = -1 if key is None else self._size(key)
            if key is not None and size >= 0:
                for each in how:
                    self.forms[each] += 1
                return key, size
        key = self._inside(text.strip())
        if key is None:
            raise DataError(
                f"{where}: path '{shown(text.strip())}' is outside the manifest's folder\n"
                f"move the image into '{shown(self._folder)}' and give its path relative to that "
                "folder"
            )
        return key, -1

    def _inside(self, text: str) -> str | None:
        path = os.path.normpath(os.path.join(self._folder, text))
        for base in self._bases:
            if path.startswith(os.path.join(base, "")):
                return path[len(os.path.join(base, "")) :].replace(os.sep, "/")
        return None

    def _size(self, key: str) -> int:
        path = os.path.join(self._folder, key)
        return os.path.getsize(path) if os.path.isfile(path) else -1


def _forms(text: str) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Yield a cell as it is, and as it may have been meant, with what was changed."""
    yield text, ()
    stripped = text.strip()
    forms = [(stripped, ("padded",) if stripped != text else ())]
    if "\\" in stripped:
        forms.append((stripped.replace("\\", "/"), (*forms[0][1], "windows")))
    for form, how in forms:
        yield form, how
        if not form.isascii():
            for kind in ("NFC", "NFD"):
                yield unicodedata.normalize(kind, form), (*how, "unicode")


def _where_else(folder: str, files: list[ImageFile]) -> str:
    """Say if the first missing file is in a folder beside the table."""
    missing = next((file.key for file in files if file.n_bytes < 0), None)
    if missing is None:
        return ""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    there = [name for name in names if os.path.exists(os.path.join(folder, name, missing))]
    if not there:
        return ""
    return f"; '{shown(missing)}' is in {shorten(there)}: move the table there, or add the folder"
