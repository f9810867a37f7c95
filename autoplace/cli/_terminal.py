"""Text that stays readable in terminals of any width."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO

import click


def terminal_width(stream: TextIO | None = None) -> int | None:
    """Columns of the terminal that `stream` (default: stdout) goes to; None if it is none.

    The variable COLUMNS, if it is set, is the width of anything.
    """
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    stream = stream or sys.stdout
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (AttributeError, OSError, ValueError):  # closed, a file, a pipe, or not a real stream
        return None


def wrapped(text: str, stream: TextIO | None = None) -> str:
    """Break long lines between words, so that they fit the terminal that `stream` goes to.

    Long words, such as paths and placements, stay whole, so that they can be copied.
    """
    width = terminal_width(stream)
    if width is None:
        return text
    lines = []
    for line in text.splitlines():
        if len(line) <= width:
            lines.append(line)
            continue
        indent = line[: len(line) - len(line.lstrip())]
        lines += textwrap.wrap(
            line.lstrip(),
            width,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


class HelpFormatter(click.HelpFormatter):
    """Click's help, also for terminals of less than 50 columns."""

    def __init__(
        self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None
    ) -> None:
        columns = min(shutil.get_terminal_size().columns, max_width or 80)
        super().__init__(indent_increment, width or max(columns - 2, 30))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write pairs of a term and its text, the terms in at most a third of the width."""
        broken = [(self._broken(term), text) for term, text in rows]
        super().write_dl(broken, min(col_max, self.width // 3), col_spacing)

    def _broken(self, term: str) -> str:
        """Break a term that is too long, between the words that an option may have."""
        lines = [""]
        for part in re.split(r"(?<=[| ])", term):
            if lines[-1] and len(lines[-1] + part.rstrip()) > self.width - self.current_indent:
                lines.append(" " * (self.current_indent + 4))
            lines[-1] += part
        return "\n".join(line.rstrip() for line in lines)


class Context(click.Context):
    """Click's context, with help of our form."""

    formatter_class = HelpFormatter
