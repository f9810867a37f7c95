"""Manifests: CSV or Parquet tables with one image per row."""

from __future__ import annotations

import csv
import difflib
import os
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from autoplace.data._errors import DataError
from autoplace.data._listing import SPLIT_NAMES, ImageFile, Listing

REQUIRED = ("path", "label")
COLUMNS = (*REQUIRED, "split", "group")
SUFFIXES = (".csv", ".parquet")

Row = Mapping[str, object]


def list_manifest(manifest: Path) -> Listing:
    """List the images of a manifest by path and size, without opening them.

    The columns are path (relative to the manifest's folder), label, and optionally split and group.

    Raises
    ------
    DataError
        If the table cannot be read, columns are unknown or missing, cells are empty, a split's name
        is unknown, a file is listed twice, or a path is outside the folder.
    """
    columns, rows = _read_csv(manifest) if _is_csv(manifest) else _read_parquet(manifest)
    _check_columns(manifest, columns)
    if not rows:
        raise DataError(f"'{manifest}' has no rows; add one per image")
    folder = manifest.parent
    real_folder = os.path.realpath(folder)
    files = []
    row_of: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        where = f"row {number} of '{manifest}'"
        cells = {column: _cell(row[column], column, where) for column in columns}
        path, key = _inside(cells["path"], folder, real_folder, where)
        if key in row_of:
            raise DataError(
                f"'{manifest}' lists '{key}' twice, in rows {row_of[key]} and {number}; remove one"
            )
        row_of[key] = number
        split = _split(cells["split"], where) if "split" in cells else None
        size = os.path.getsize(path) if os.path.isfile(path) else -1
        files.append(ImageFile(key, path, size, cells["label"], split, cells.get("group")))
    return Listing(f"{Path(real_folder).name or 'data'}-{manifest.stem}", files)


def _is_csv(manifest: Path) -> bool:
    return manifest.suffix.lower() == ".csv"


def _read_csv(manifest: Path) -> tuple[list[str], list[Row]]:
    # Python's reader, not pandas': it keeps labels such as "NA" and "007" as they are, and lets us
    # refuse rows with too many cells, which pandas would shift.
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            columns = [column.strip() for column in next(reader, [])]
            rows: list[Row] = []
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(columns):
                    raise DataError(
                        f"line {reader.line_num} of '{manifest}' has {len(cells)} cells, but the "
                        f"header has {len(columns)}; quote values that contain commas"
                    )
                rows.append(dict(zip(columns, cells, strict=True)))
            return columns, rows
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(
            f"cannot read '{manifest}': {error}; it must be a CSV table in UTF-8 with a header"
        ) from error


def _read_parquet(manifest: Path) -> tuple[list[str], list[Row]]:
    try:
        # ParquetFile, not read_table, which would look for partitions around the file.
        with pq.ParquetFile(manifest) as file:
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"cannot read '{manifest}': {reason}\n"
            "it must be a complete Parquet file; write it again"
        ) from error
    return table.column_names, table.to_pylist()


def _check_columns(manifest: Path, columns: list[str]) -> None:
    for column in columns:
        if column not in COLUMNS:
            near = difflib.get_close_matches(column, COLUMNS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else "; remove it"
            raise DataError(
                f"unknown column '{column}' in '{manifest}'{hint}\n"
                f"known columns: {', '.join(COLUMNS)}"
            )
        if columns.count(column) > 1:
            raise DataError(f"column '{column}' occurs twice in '{manifest}'; remove one")
    for column in REQUIRED:
        if column not in columns:
            raise DataError(
                f"no column '{column}' in '{manifest}'; add it "
                f"(needed: {', '.join(REQUIRED)}; optional: split, group)"
            )


def _cell(value: object, column: str, where: str) -> str:
    if isinstance(value, (str, int)):
        text = str(value) if column == "path" else str(value).strip()
        if text:
            return text
    elif value is not None:
        raise DataError(
            f"{where}: {column} is of type {type(value).__name__}; use text or a whole number"
        )
    raise DataError(f"{where} has no {column}; fill it in or remove the row")


def _split(text: str, where: str) -> str:
    if text.lower() not in SPLIT_NAMES:
        raise DataError(f"{where}: unknown split '{text}'; use one of {', '.join(SPLIT_NAMES)}")
    return SPLIT_NAMES[text.lower()]


def _inside(text: str, folder: Path, real_folder: str, where: str) -> tuple[str, str]:
    """Return the path to open and the key of a row; links are resolved before the check."""
    path = os.path.join(folder, text)
    try:
        real = os.path.realpath(path)
        inside = os.path.commonpath([real, real_folder]) == real_folder and real != real_folder
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: {text!r} is not a valid path ({error}); correct it") from error
    if not inside:
        raise DataError(
            f"{where}: path '{text}' is outside the manifest's folder\n"
            f"move the image into '{folder}' and give its path relative to that folder"
        )
    return path, Path(os.path.relpath(real, real_folder)).as_posix()
