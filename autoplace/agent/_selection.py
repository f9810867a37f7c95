"""Which candidates to fine-tune: the best predicted, but not near-copies of one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autoplace.errors import UserError
from autoplace.placement import Placement

NEAR = 2  # Manhattan distance up to which two edges do much the same


def select_diverse(
    placements: Sequence[Placement], predicted: Sequence[float] | np.ndarray, k: int
) -> list[int]:
    """Indices of k placements, best predicted first, skipping near-copies of those taken.

    Where near-copies are all that is left, the best predicted of them fill the places. Raises
    UserError when k is below 1 or above the number of placements.
    """
    if not 1 <= k <= len(placements):
        raise UserError(
            f"--top-k is {k}, but there are {len(placements)} candidates; "
            f"give a number from 1 to {len(placements)}"
        )
    order = [int(i) for i in np.argsort(-np.asarray(predicted), kind="stable")]
    taken: list[int] = []
    for index in order:
        if len(taken) == k:
            break
        if not any(near_copies(placements[index], placements[other]) for other in taken):
            taken.append(index)
    rest = (index for index in order if index not in set(taken))
    taken += [index for index, _ in zip(rest, range(k - len(taken)), strict=False)]
    return sorted(taken, key=order.index)


def near_copies(one: Placement, other: Placement) -> bool:
    """Whether at least half the edges of each lie within distance 2 of an edge of the other."""
    return min(_covered(one, other), _covered(other, one)) >= 0.5


def _covered(one: Placement, other: Placement) -> float:
    near = [min(a.distance(b) for b in other.edges) <= NEAR for a in one.edges]
    return sum(near) / len(near)
