"""Signals that ask a command to end: all of them do what Ctrl-C does."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from autoplace.cli._exit_codes import ExitCode

# SIGXCPU: batch systems send it when the time of a job is up.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU)
_PATIENCE = 10.0  # seconds in which a command can close its run undisturbed


@contextmanager
def ending_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt on the first SIGINT, SIGTERM, SIGHUP or SIGXCPU.

    What follows within ten seconds is ignored, so that the run can be closed: a terminal that is
    closed, or a service manager, sends several. Only the third Ctrl-C ends the process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    first: float | None = None
    presses = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first, presses
        now = time.monotonic()
        presses += number == signal.SIGINT
        if first is None or (number != signal.SIGINT and now - first > _PATIENCE):
            first = now
            raise KeyboardInterrupt
        if number == signal.SIGINT:
            if presses > 2:
                os._exit(ExitCode.INTERRUPTED)
            with suppress(OSError):
                os.write(2, b"\nclosing the run; press Ctrl-C again to end at once\n")

    # A signal that is ignored stays so: that is what nohup does.
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    kept = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in kept:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, old in kept.items():
            signal.signal(number, old)
