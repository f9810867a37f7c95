"""The base of all errors that a user can fix."""

from __future__ import annotations


class UserError(ValueError):
    """Something the user can put right; every room's own error derives from it.

    The message is one or two lines: what is wrong, and what to do. The command line prints it
    without a traceback and exits with code 2.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> try:
    ...     Placement.parse("7>>3")
    ... except UserError as error:
    ...     print(error)
    '7>>3' is not an edge; expected SOURCE>TARGET, for example 7>3
    """
