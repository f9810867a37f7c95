"""GGA, the gradient-guided greedy selection of Nowak et al. 2024, section 5."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autoplace.placement._edge import Edge
from autoplace.placement._errors import PlacementError


def gga(
    scores: NDArray[np.floating],
    ties: NDArray[np.floating],
    n_edges: int,
    gamma: float = 0.6,
) -> tuple[Edge, ...]:
    """Greedily take the edge of the highest score, then discount its neighbourhood.

    After each choice every other edge's score is multiplied by 1 - gamma^d, d the Manhattan
    distance to the chosen edge, so gamma = 0 means no discount. Scores are shifted to be
    non-negative first.

    scores, ties: (n, n); entry [i, j] belongs to Edge(i, j). `ties` orders edges of equal score.
    Returns `n_edges` edges in the order they were taken. Raises PlacementError when there are
    fewer edges than asked for, or gamma is outside [0, 1).
    """
    if not 0 <= gamma < 1:
        raise PlacementError(f"GGA's gamma is {gamma}; it must lie in [0, 1)")
    if n_edges > scores.size:
        raise PlacementError(f"{n_edges} edges asked for; the backbone has only {scores.size}")
    left = scores.astype(float) - scores.min()
    sources, targets = np.indices(scores.shape)
    taken = np.zeros(scores.shape, dtype=bool)
    chosen = []
    for _ in range(n_edges):
        order = np.lexsort((ties.ravel(), left.ravel(), ~taken.ravel()))
        i, j = (int(index) for index in np.unravel_index(order[-1], scores.shape))
        chosen.append(Edge(i, j))
        taken[i, j] = True
        distance = np.abs(sources - i) + np.abs(targets - j)
        left *= np.where(distance > 0, 1 - gamma ** np.maximum(distance, 1), 1.0)
    return tuple(chosen)
