"""The error of this room."""

from __future__ import annotations

from autoplace.errors import UserError


class BackboneError(UserError):
    """A backbone that is unknown, is no residual chain, or whose weights cannot be had or fit."""
