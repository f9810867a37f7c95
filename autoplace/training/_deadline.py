"""A hard deadline, checked between training steps."""

from __future__ import annotations

import math
import re
import time

from autoplace.errors import UserError

_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*")
HELD_BACK_SHARE, HELD_BACK_SECONDS = 0.15, 30.0
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class DeadlineReachedError(Exception):
    """The time budget is used up; not the user's mistake, and not a failed trial.

    Examples
    --------
    >>> try:
    ...     Deadline(0.0).check()
    ... except DeadlineReachedError:
    ...     print("time is up")
    time is up
    """


class Deadline:
    """A moment at which work stops.

    Parameters
    ----------
    seconds : float, optional
        From now; None for no deadline.

    Examples
    --------
    >>> Deadline.parse("20m").passed
    False
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds
        self._stopped = False
        self._parent: Deadline | None = None
        self._whole: Deadline | None = None

    @classmethod
    def parse(cls, text: str | None) -> Deadline:
        """Read `90s`, `20m`, `1.5h` or plain seconds; None is no deadline.

        The last 15 % of the time, 30 seconds at most, are held back: training stops there, so
        that testing and saving what has finished still fit the budget.

        Raises
        ------
        UserError
            Anything else.
        """
        if text is None:
            return cls()
        match = _TEXT.fullmatch(text)
        if match is None or float(match[1]) <= 0:
            raise UserError(f"--budget is '{text}'; give a time such as 90s, 20m or 2h")
        seconds = float(match[1]) * _SECONDS[match[2]]
        deadline = cls(seconds - min(HELD_BACK_SHARE * seconds, HELD_BACK_SECONDS))
        deadline._whole = cls(seconds)
        return deadline

    @property
    def whole(self) -> Deadline:
        """The end of the whole time, with what is held back."""
        return self._whole or (self if self._parent is None else self._parent.whole)

    def linked(self, seconds: float | None = None) -> Deadline:
        """Return a deadline that passes with this one, or earlier."""
        linked = Deadline(seconds)
        linked._parent = self
        return linked

    def stop(self) -> None:
        """Let the deadline pass now, for whoever checks it."""
        self._stopped = True

    @property
    def left(self) -> float:
        """Seconds until it passes; infinite without a limit, never negative."""
        if self._stopped:
            return 0.0
        own = math.inf if self._end is None else max(0.0, self._end - time.monotonic())
        return own if self._parent is None else min(own, self._parent.left)

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self.left <= 0

    def check(self) -> None:
        """Raise DeadlineReachedError once the time is up."""
        if self.passed:
            raise DeadlineReachedError
