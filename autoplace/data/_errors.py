"""The error of this package."""

from __future__ import annotations

from autoplace.errors import UserError


class DataError(UserError):
    """The data set cannot be used as it is; the message says why and how to fix it.

    Examples
    --------
    >>> from autoplace.data import DataError, load_data
    >>> try:
    ...     load_data("builtin:digit", transform=None)
    ... except DataError as error:
    ...     print(error)
    unknown built-in data set 'builtin:digit'; did you mean 'builtin:digits'...
    """
