"""The error that this package raises."""

from __future__ import annotations

from autoplace.errors import UserError


class PlacementError(UserError):
    """A placement, edge or adapter option that cannot be read or does not fit the backbone.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> try:
    ...     Placement.parse("7-3")
    ... except PlacementError as error:
    ...     print(error)
    '7-3' is not an edge; expected SOURCE>TARGET, for example 7>3
    """
