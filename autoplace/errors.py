"""The one kind of error that is the user's to mend; every room's own error derives from it."""

from __future__ import annotations


class UserError(ValueError):
    """Something the user can put right.

    The message is one or two lines: what is wrong, and what to do. The command line prints it
    without a traceback and exits with code 2.
    """
