"""The error of this room."""

from __future__ import annotations

from autoplace.errors import UserError


class DataError(UserError):
    """The data set cannot be used as it is; the message says why and how to mend it."""
