"""Progress on stderr: bars with an ETA on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from autoplace.agent import Progress

_WIDE = 70  # columns that a terminal needs for a bar and two times


class LineProgress(Progress):
    """One line per message, for logs and pipes."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._done, self._total = 0, 0

    def stage(self, text: str, total: int | None = None) -> None:
        self._done, self._total = 0, total or 0
        self._print(text)

    def advance(self, text: str = "") -> None:
        self._done += 1
        self._print(f"  [{self._done}/{self._total}] {text}")

    def note(self, text: str) -> None:
        self._print(f"  note: {text}")

    def _print(self, text: str) -> None:
        with suppress(OSError):  # a log that cannot be written must not end the command
            print(f"{time.monotonic() - self._started:7.1f} s  {text}", file=sys.stderr, flush=True)


class BarProgress(Progress):
    """A bar per stage with elapsed and remaining time; messages stay above it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        width = self._console.width
        columns: list[ProgressColumn] = [MofNCompleteColumn(), TimeRemainingColumn()]
        self._room = width - 26  # spinner, count and time take the rest
        if width >= _WIDE:
            columns[:0] = [BarColumn(width // 4)]
            columns[2:2] = [TimeElapsedColumn(), TextColumn("ETA")]
            self._room -= width // 4 + 14
        text = TextColumn("{task.description}", markup=False)
        self.rich = RichProgress(
            SpinnerColumn(), text, *columns, console=self._console, transient=True
        )

    def stage(self, text: str, total: int | None = None) -> None:
        for task in self.rich.task_ids:
            self.rich.remove_task(task)
        short = text if len(text) <= self._room else f"{text[: self._room - 1]}…"
        self.rich.add_task(short, total=total)

    def advance(self, text: str = "") -> None:
        if text:
            self._print(text)
        self.rich.advance(self.rich.task_ids[-1])

    def note(self, text: str) -> None:
        self._print(f"note: {text}")

    def _print(self, text: str) -> None:
        with suppress(OSError):  # the terminal may be gone; the command goes on
            self._console.print(text, highlight=False, markup=False)


@contextmanager
def terminal_progress() -> Iterator[Progress]:
    """Yield bars for a terminal, lines for anything else; bars are cleared at the end."""
    if not sys.stderr.isatty():
        yield LineProgress()
        return
    bars = BarProgress()
    bars.rich.start()
    try:
        yield bars
    finally:
        with suppress(OSError):
            bars.rich.stop()
