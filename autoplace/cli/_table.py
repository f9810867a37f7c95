"""Tables as text: aligned columns where they fit the terminal, else a block for each row."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from autoplace.cli._terminal import terminal_width

_NARROW = 16  # the least columns that a text is wrapped to
_GAP = 2


def table(header: Sequence[str], rows: Sequence[Sequence[object]], width: int | None = None) -> str:
    """Align columns by their widest cell; floats have four decimals, a dash means missing.

    Parameters
    ----------
    header : sequence of str
        Names of the columns.
    rows : sequence of sequences
        A cell for each column.
    width : int, optional
        Characters that a line may have. If the columns do not fit, long texts are wrapped; if
        that is not enough, each row becomes a block of lines. Default: the terminal's width; there
        is no limit in a file or a pipe.

    Examples
    --------
    >>> print(table(("image", "class", "probability"), [("a.png", "cat", 0.75)]))
    image  class  probability
    -------------------------
    a.png  cat         0.7500
    >>> print(table(("image", "class", "probability"), [("a.png", "cat", 0.75)], width=20))
    image        a.png
    class        cat
    probability  0.7500
    """
    width = width or terminal_width()
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(header))]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    if width is not None:
        widths = _shrunk(widths, numeric, width)
        if _total(widths) > width:
            return "\n\n".join(_block(header, row, width) for row in cells)
    lines = [line for row in (header, *cells) for line in _aligned(row, widths, numeric)]
    n_head = len(_aligned(header, widths, numeric))
    return "\n".join([*lines[:n_head], "-" * max(map(len, lines)), *lines[n_head:]])


def _shrunk(widths: list[int], numeric: list[bool], width: int) -> list[int]:
    """Take from the widest columns of text, as long as it helps."""
    widths = list(widths)
    texts = [index for index, is_number in enumerate(numeric) if not is_number]
    while texts and _total(widths) > width:
        widest = max(texts, key=lambda index: widths[index])
        if widths[widest] <= _NARROW:
            break
        widths[widest] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _aligned(row: Sequence[str], widths: list[int], numeric: list[bool]) -> list[str]:
    parts = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
    lines = []
    for number in range(max(map(len, parts))):
        texts = [part[number] if number < len(part) else "" for part in parts]
        aligned = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(texts, widths, numeric, strict=True)
        ]
        lines.append((" " * _GAP).join(aligned).rstrip())
    return lines


def _block(header: Sequence[str], row: Sequence[str], width: int) -> str:
    label = max(map(len, header))
    lines = []
    for name, cell in zip(header, row, strict=True):
        first, *others = _wrapped(cell, max(width - label - _GAP, 8))
        lines.append(f"{name.ljust(label + _GAP)}{first}")
        lines += [" " * (label + _GAP) + other for other in others]
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> list[str]:
    if len(text) <= width:
        return [text]
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if value == int(value) and abs(value) >= 10 else f"{value:.4f}"
    return str(value)


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float)
