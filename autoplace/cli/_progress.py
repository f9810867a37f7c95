"""Progress on stderr: bars with an ETA on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from autoplace.agent import Progress


class LineProgress(Progress):
    """One line for each thing that happens, for logs and pipes."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._done, self._total = 0, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to tidy up."""

    def stage(self, text: str, total: int | None = None) -> None:
        self._done, self._total = 0, total or 0
        self._print(text)

    def advance(self, text: str = "") -> None:
        self._done += 1
        self._print(f"  [{self._done}/{self._total}] {text}")

    def note(self, text: str) -> None:
        self._print(f"  note: {text}")

    def _print(self, text: str) -> None:
        print(f"{time.monotonic() - self._started:7.1f} s  {text}", file=sys.stderr, flush=True)


class BarProgress(Progress):
    """A bar per stage with elapsed and remaining time; what happened stays above it."""

    def __init__(self) -> None:
        self._rich = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rich.stop()

    def stage(self, text: str, total: int | None = None) -> None:
        for task in self._rich.task_ids:
            self._rich.remove_task(task)
        self._rich.add_task(text, total=total)

    def advance(self, text: str = "") -> None:
        if text:
            self._rich.console.print(text, highlight=False, markup=False)
        self._rich.advance(self._rich.task_ids[-1])

    def note(self, text: str) -> None:
        self._rich.console.print(f"note: {text}", highlight=False, markup=False)


def terminal_progress() -> LineProgress | BarProgress:
    """The form that suits where stderr goes."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()
