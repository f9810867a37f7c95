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
    """Repeatedly choose the edge with the highest score and discount the edges near it.

    After each choice, the score of every other edge is multiplied by 1 - gamma^d, where d is its
    Manhattan distance to the chosen edge. Scores are first shifted so that the lowest is 0.

    Parameters
    ----------
    scores : ndarray of shape (n, n)
        Score of each edge, for example its gradient rank; entry [i, j] belongs to Edge(i, j).
    ties : ndarray of shape (n, n)
        Orders edges of equal score.
    n_edges : int
        Number of edges to choose.
    gamma : float, default=0.6
        Strength of the discount, in [0, 1); 0 means no discount.

    Returns
    -------
    tuple of Edge
        The edges in the order of choice.

    Raises
    ------
    PlacementError
        If `n_edges` exceeds the number of edges, or gamma is outside [0, 1).

    References
    ----------
    Nowak et al. 2024, "Towards Optimal Adapter Placement for Efficient Transfer Learning",
    section 5 (arXiv 2410.15858).

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.array([[9.0, 8.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 7.0]])
    >>> ties = np.zeros((3, 3))
    >>> [str(edge) for edge in gga(scores, ties, n_edges=2, gamma=0.0)]
    ['0>0', '0>1']
    >>> [str(edge) for edge in gga(scores, ties, n_edges=2, gamma=0.6)]
    ['0>0', '2>2']
    """
    if not 0 <= gamma < 1:
        raise PlacementError(f"GGA's gamma is {gamma}; it must be at least 0 and less than 1")
    if n_edges > scores.size:
        raise PlacementError(
            f"{n_edges} edges were requested, but the backbone has {scores.size}; request fewer"
        )
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
