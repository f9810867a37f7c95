"""Which columns of a table hold the paths, the labels, the splits and the groups."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from autoplace.data._decoding import SUFFIXES
from autoplace.data._errors import DataError
from autoplace.data._names import shorten, shown
from autoplace.data._split_names import read_splits
from autoplace.data._table import Table

NO_SPLITS = "none"  # given as --split-column, it leaves the splits of a table aside
_SAMPLE = 20  # rows that are looked at to guess what an unknown column holds

# Usual names, without case and punctuation. Those after the first line count only if no other does.
_PATHS = (
    "path filepath filename file image img imagepath imgpath imagefile imgfile imagename imgname "
    "imagefilename imgfilename fname relativepath relpath",
    "imageid imgid",
)
_LABELS = (
    "label labels class classes category target classname categoryname labelname targetname "
    "classlabel",
    "classid labelid categoryid targetid classidx labelidx",
)
_SPLITS = ["split", "splits", "datasplit", "subset", "set", "partition", "fold", "phase", "usage"]
_GROUPS = ["group", "groups", "groupid", "groupname"]
# Columns of true and false, and the split of the rows that are true.
_BOOLEANS = {
    **dict.fromkeys(("istrain", "istraining"), "train"),
    **dict.fromkeys(("isvalid", "isval", "isvalidation", "isdev"), "val"),
    **dict.fromkeys(("istest", "istesting", "isholdout"), "test"),
}


@dataclass(frozen=True)
class ColumnNames:
    """Columns that the user names; None leaves a column to its usual names."""

    path: str | None = None
    label: str | None = None
    split: str | None = None

    def __iter__(self) -> Iterator[str | None]:
        return iter((self.path, self.label, self.split))


@dataclass(frozen=True)
class Columns:
    """Positions of the columns that are used; `splits` maps positions of booleans to splits."""

    path: int
    label: int
    split: int | None
    booleans: dict[int, str]
    group: int | None


def choose_columns(
    name: str, table: Table, given: ColumnNames, exists: Callable[[str], bool], notes: list[str]
) -> Columns:
    """Find the columns of a table that are used, and say which are not.

    Parameters
    ----------
    name : str
        Name of the table, for messages.
    table : Table
        The table.
    given : ColumnNames
        What the user chose.
    exists : callable
        Returns whether a cell is the path of a file.
    notes : list of str
        Gets sentences on what was recognised and ignored.

    Raises
    ------
    DataError
        If a column is missing, or more than one has a usual name.
    """
    path = _given(name, table, given.path, "--path-column")
    if path is None:
        path = _one(name, table, _preferred(table, _PATHS), "paths", "--path-column")
    label = _given(name, table, given.label, "--label-column")
    if label is None:
        label = _one(name, table, _preferred(table, _LABELS), "labels", "--label-column")
    if path is None:
        raise _no_paths(name, table, exists)
    if label is None:
        raise DataError(
            f"no column in '{name}' has a usual name for labels, such as 'label' or 'class'; name "
            f"it with --label-column (columns: {_listed(table, {path})})"
        )
    split, booleans = _splits(name, table, given.split)
    group = _one(name, table, _matching(table, _GROUPS), "groups", None)
    used = {"path": path, "label": label, "split": split, "group": group}
    renamed = [
        f"'{shown(table.columns[at])}' as {role}"
        for role, at in used.items()
        if at is not None and table.columns[at] != role
    ] + [f"'{shown(table.columns[at])}' as {split}" for at, split in booleans.items()]
    if renamed:
        notes.append(f"columns of the table: read {', '.join(renamed)}")
    kept = {at for at in used.values() if at is not None} | set(booleans)
    rest = [
        each or "(a column without a name)"
        for at, each in enumerate(table.columns)
        if at not in kept
    ]
    if rest or table.packed:
        notes.append(f"columns of the table ignored: {shorten([*rest, *table.packed], 6)}")
    return Columns(path, label, split, booleans, group)


def _plain(column: str) -> str:
    return re.sub(r"[\W_]", "", column).casefold()


def _listed(table: Table, without: set[int] | None = None) -> str:
    names = [each for at, each in enumerate(table.columns) if at not in (without or ()) and each]
    return shorten(names, 10) or "none"


def _given(name: str, table: Table, column: str | None, option: str) -> int | None:
    """Return the position of a column that the user names."""
    if column is None:
        return None
    exact = [at for at, each in enumerate(table.columns) if each.strip() == column.strip()]
    found = exact or [at for at, each in enumerate(table.columns) if _plain(each) == _plain(column)]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"column '{shown(column)}' occurs twice in '{name}'; rename one")
    near = difflib.get_close_matches(column, table.columns, n=1)
    hint = f"; did you mean '{shown(near[0])}'?" if near else ""
    raise DataError(
        f"{option}: '{name}' has no column '{shown(column)}'{hint} (columns: {_listed(table)})"
    )


def _matching(table: Table, names: Iterable[str]) -> list[int]:
    return [at for at, each in enumerate(table.columns) if _plain(each) in names]


def _preferred(table: Table, names: tuple[str, str]) -> list[int]:
    """Return the columns with usual names; those with second-rate names only if no other has."""
    first, second = (_matching(table, each.split()) for each in names)
    return first or second


def _one(name: str, table: Table, found: list[int], what: str, option: str | None) -> int | None:
    """Return the one column that is found; of columns with equal cells, the first."""
    if not found:
        return None
    first, *others = found
    if all(row[first] == row[other] for row in table.rows for other in others):
        return first
    options = [shown(table.columns[at]) for at in found]
    if len(set(options)) == 1:
        raise DataError(f"column '{options[0]}' occurs twice in '{name}'; rename or remove one")
    choice = (
        f"choose one with {' or '.join(f'{option} {each}' for each in options)}"
        if option
        else "rename the one that is not used"
    )
    listed = ", ".join(options)
    raise DataError(f"'{name}' has several columns that can hold the {what}: {listed}\n{choice}")


def _no_paths(name: str, table: Table, exists: Callable[[str], bool]) -> DataError:
    """Say that no column holds paths, and which may do so."""
    if table.packed:
        return DataError(
            f"no column of '{name}' holds paths; '{shown(table.packed[0])}' holds the data itself, "
            "which is not read\nsave the images as files, and give their paths in a column 'path'"
        )
    if any(exists(each) or each.lower().endswith(SUFFIXES) for each in table.columns):
        return DataError(
            f"the first line of '{name}' is not a header, but names an image; "
            "add a first line with the names of the columns, such as path,label"
        )
    holders = [
        column
        for at, column in enumerate(table.columns)
        if any(_is_path(row[at], exists) for row in table.rows[:_SAMPLE])
    ]
    hint = (
        f"; '{shown(holders[0])}' seems to: give --path-column {shown(holders[0])}"
        if holders
        else ""
    )
    return DataError(
        f"no column of '{name}' has a usual name for paths, such as 'path' or 'file_name'{hint}\n"
        f"name it with --path-column (columns: {_listed(table)})"
    )


def _is_path(value: object, exists: Callable[[str], bool]) -> bool:
    return isinstance(value, str) and (value.strip().lower().endswith(SUFFIXES) or exists(value))


def _splits(name: str, table: Table, given: str | None) -> tuple[int | None, dict[int, str]]:
    """Return the position of the split column, or those of boolean columns with their splits."""
    booleans = {
        at: _BOOLEANS[_plain(each)]
        for at, each in enumerate(table.columns)
        if _plain(each) in _BOOLEANS
    }
    if given is not None:
        if given == NO_SPLITS and NO_SPLITS not in table.columns:
            return None, {}
        at = _given(name, table, given, "--split-column")
        assert at is not None
        return (None, {at: booleans[at]}) if at in booleans else (at, {})
    named = [at for at in _matching(table, _SPLITS) if _can_be_splits(table, at)]
    split = _one(name, table, named, "splits", "--split-column")
    if split is not None and booleans:
        both = [shown(table.columns[at]) for at in (split, *booleans)]
        raise DataError(
            f"'{name}' has columns that can hold the splits: {', '.join(both)}; choose one with "
            f"{' or '.join(f'--split-column {each}' for each in both)}"
        )
    return split, booleans


def _can_be_splits(table: Table, at: int) -> bool:
    """Return whether a column is called a split, or holds names of splits or numbers of folds."""
    values = {str(row[at]).strip() for row in table.rows}
    called = "split" in _plain(table.columns[at])
    return called or bool(read_splits(sorted(values))) or all(each.isdigit() for each in values)


def read_boolean(value: str) -> bool | None:
    """Return the truth value of a cell, or None if it has none."""
    known: Sequence[tuple[bool, tuple[str, ...]]] = (
        (True, ("true", "t", "yes", "y", "1", "1.0")),
        (False, ("false", "f", "no", "n", "0", "0.0")),
    )
    return next((truth for truth, words in known if value.casefold() in words), None)
