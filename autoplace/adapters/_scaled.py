"""Options of the kinds that have a rank and multiply what they add by a fixed factor."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoplace.adapters._base import RankConfig
from autoplace.placement import PlacementError


@dataclass(frozen=True)
class ScaledConfig(RankConfig):
    """Options of the kinds that have a rank and a scale.

    Parameters
    ----------
    r : int, default=8
        Rank: the width of the adapter's hidden layer.
    scale : float, default=1
        Factor on what the adapter adds.

    Raises
    ------
    PlacementError
        If the scale is not a number above 0.

    Examples
    --------
    >>> ScaledConfig(r=4)
    ScaledConfig(r=4, scale=1)
    >>> try:
    ...     ScaledConfig(scale=0)
    ... except PlacementError as error:
    ...     print(error)
    scale=0 must be a number above 0
    """

    scale: float = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.scale, int | float) or not 0 < self.scale < math.inf:
            raise PlacementError(f"scale={self.scale} must be a number above 0")
