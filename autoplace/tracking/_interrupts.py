"""Interrupts wait while MLflow is in the middle of a transaction."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Raise a KeyboardInterrupt that a signal causes in the block at the block's end.

    SQLAlchemy can be left in the middle of a transaction by one that comes between two of its
    lines. Its connection then keeps the lock of the database, and what ends the run waits for that
    in vain. Nobody waits longer: Python calls handlers after a call into a database, anyway.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread
        return
    held: list[KeyboardInterrupt] = []
    is_over = False

    def handle(number: int, frame: FrameType | None) -> None:
        try:
            before[number](number, frame)
        except KeyboardInterrupt as interrupt:
            if is_over:
                raise
            held.append(interrupt)

    found = {number: signal.getsignal(number) for number in signal.valid_signals()}
    before: dict[int, Callable[[int, FrameType | None], object]] = {
        number: handler for number, handler in found.items() if callable(handler)
    }
    try:
        for number in before:
            signal.signal(number, handle)
        yield
    finally:
        is_over = True
        for number, handler in before.items():
            signal.signal(number, handler)
        if held:
            raise held[0]
