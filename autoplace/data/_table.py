"""Read a table of images: CSV with any usual separator, or Parquet."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from autoplace.data._errors import DataError
from autoplace.data._names import shown

_PARQUET = (".parquet", ".pq")
SUFFIXES = (".csv", ".tsv", ".tab", ".txt", *_PARQUET)
MOST_ROWS = 50_000_000
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Table:
    """Names of columns, and rows with one value for each of them.

    `packed` names columns that are not read, because they hold bytes, lists or structures.
    """

    columns: list[str]
    rows: list[list[object]]
    packed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_table(path: Path) -> Table:
    """Read a table; the suffix of its name tells Parquet from text.

    Raises
    ------
    DataError
        If it cannot be read or has no rows.
    """
    table = _read_parquet(path) if path.suffix.lower() in _PARQUET else _read_text(path)
    if not table.rows and not table.packed:
        raise DataError(f"'{shown(str(path))}' has no rows; add one per image")
    return table


def _read_text(path: Path) -> Table:
    # Python's reader, not pandas': it keeps labels such as "NA" and "007" as they are, and lets us
    # refuse rows with too many cells, which pandas would shift.
    name = shown(str(path))
    try:
        text = _decode(path.read_bytes())
        text, separator = _separator(text)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        columns = [column.strip() for column in next(reader, [])]
        rows: list[list[object]] = []
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            extra = cells[len(columns) :]
            if len(cells) < len(columns) or any(cell.strip() for cell in extra):
                raise DataError(
                    f"line {reader.line_num} of '{name}' has {len(cells)} cells, but the header "
                    f"has {len(columns)}; quote values that contain {_SEPARATORS[separator]}"
                )
            rows.append(list(cells[: len(columns)]))
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(
            f"cannot read '{name}': {error}; it must be a table of text in UTF-8 with a header"
        ) from error
    said = f"read the table's cells as separated by {_SEPARATORS[separator]}"
    return Table(columns, rows, notes=[] if separator == "," else [said])


def _decode(data: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a mark at its start, as spreadsheets write it."""
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def _separator(text: str) -> tuple[str, str]:
    """Return the text and its separator: the one that gives the header the most columns."""
    said = re.match(r'"?sep=([,;|\t])"?\r?\n', text)  # spreadsheets may say so in the first line
    if said:
        return text[said.end() :], said[1]
    header = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    widths = {
        separator: len(next(csv.reader([header], delimiter=separator), []))
        for separator in _SEPARATORS
    }
    return text, max(widths, key=widths.__getitem__)  # the first of them if several are equal


def _read_parquet(path: Path) -> Table:
    try:
        # ParquetFile, not read_table, which would look for partitions around the file.
        with pq.ParquetFile(path) as file:
            _check_size(path, file.metadata)
            fields = list(file.schema_arrow)
            packed = [each.name for each in fields if _is_packed(each.type)]
            table = file.read(columns=[each.name for each in fields if each.name not in packed])
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"cannot read '{shown(str(path))}': {reason}\n"
            "it must be a complete Parquet file; write it again"
        ) from error
    columns = [column.to_pylist() for column in table.columns]
    rows: list[list[object]] = [list(row) for row in zip(*columns, strict=True)]
    return Table(table.column_names, rows, packed=packed)


def _check_size(path: Path, found: pq.FileMetaData) -> None:
    """Refuse a table that memory cannot hold: some KiB can hold billions of equal rows."""
    if found.num_rows > MOST_ROWS:
        raise DataError(
            f"'{shown(str(path))}' has {found.num_rows:,} rows, more than {MOST_ROWS:,}; divide it"
        )


def _is_packed(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    )
