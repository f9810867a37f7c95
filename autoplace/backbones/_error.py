"""The error that this package raises."""

from __future__ import annotations

from autoplace.errors import UserError


class BackboneError(UserError):
    """A backbone that is unknown or unsupported, or whose weights are unavailable or do not fit.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> try:
    ...     create_chain("starter", checkpoint="missing.safetensors")
    ... except BackboneError as error:
    ...     print(error)
    checkpoint 'missing.safetensors' does not exist or is not a file
    """
