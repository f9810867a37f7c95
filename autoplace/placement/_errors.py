"""The error of this room: a placement text or edge that makes no sense."""

from __future__ import annotations

from autoplace.errors import UserError


class PlacementError(UserError):
    """A placement, edge or adapter option that cannot be read or does not fit the backbone."""
