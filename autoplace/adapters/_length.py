"""The option of the kinds that learn tokens: how many."""

from __future__ import annotations

from dataclasses import dataclass

from autoplace.adapters._base import AdapterConfig
from autoplace.placement import PlacementError


@dataclass(frozen=True)
class LengthConfig(AdapterConfig):
    """Options of the kinds that learn tokens.

    Parameters
    ----------
    length : int, default=10
        Number of learned tokens, or of tokens whose keys and values are learned.

    Raises
    ------
    PlacementError
        If the length is less than 1 or not a whole number.

    Examples
    --------
    >>> LengthConfig(length=4)
    LengthConfig(length=4)
    """

    length: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.length, int) or self.length < 1:
            raise PlacementError(f"length={self.length} must be a whole number of at least 1")
