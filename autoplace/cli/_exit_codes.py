"""The exit codes of commands."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command; the README explains them.

    Examples
    --------
    >>> int(ExitCode.BAD_INPUT)
    2
    """

    DONE = 0
    FAILED = 1  # also: files cannot be written any more; no trial finished, also within --budget
    BAD_INPUT = 2
    DEADLINE = 3  # --budget ran out; there is a winner
    INTERRUPTED = 130  # by Ctrl-C, SIGTERM or SIGHUP
