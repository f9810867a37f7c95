"""Sets of sub-layers, for adapters inside them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from autoplace.placement._edge import Edge
from autoplace.placement.generators._proposal import Proposal

ALL = "all"
_RANDOM_SETS = 24
_PARTS = {
    "early-three-quarters": (0.0, 0.75),
    "early-two-thirds": (0.0, 2 / 3),
    "early-half": (0.0, 0.5),
    "early-third": (0.0, 1 / 3),
    "early-quarter": (0.0, 0.25),
    "middle-half": (0.25, 0.75),
    "late-half": (0.5, 1.0),
    "late-quarter": (0.75, 1.0),
}


def sublayer_sets(
    edges: tuple[Edge, ...], ranks: NDArray[np.floating], ties: NDArray[np.floating], seed: int
) -> Iterator[Proposal]:
    """Propose subsets of sub-layers, as the parallel edges that span them.

    Parameters
    ----------
    edges : tuple of Edge
        Parallel edges to choose from, in the order of their targets.
    ranks : ndarray of shape (n, n)
        Gradient rank of every edge of the backbone.
    ties : ndarray of shape (n, n)
        Orders edges of equal rank.
    seed : int
        Seed of the random sets.

    Yields
    ------
    Proposal
        All of them, with equal, falling and rising weights; parts of the network; some, evenly
        spread over the depth; the best by the probe's gradient rank; random halves and thirds.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.arange(81.0).reshape(9, 9)
    >>> attention = tuple(Edge(node, node + 1) for node in (0, 2, 4, 6))
    >>> sets = {each.name: each.edges for each in sublayer_sets(attention, scores, scores, seed=0)}
    >>> [str(edge) for edge in sets["early-half"]]
    ['0>1', '2>3']
    >>> [str(edge) for edge in sets["gradient-rank:n=2"]]
    ['4>5', '6>7']
    """
    count = len(edges)
    equal = (1.0,) * count
    yield Proposal(ALL, edges, equal)
    yield Proposal(f"{ALL}+ranks-falling", edges, tuple(float(k) for k in range(count, 0, -1)))
    yield Proposal(f"{ALL}+ranks-rising", edges, tuple(float(k) for k in range(1, count + 1)))
    for name, (first, last) in _PARTS.items():
        part = edges[round(first * count) : round(last * count)]
        if part:
            yield Proposal(name, part, equal[: len(part)])
    if count > 2:
        yield Proposal("alternate", edges[0::2], equal[0::2])
    # For adapters without a rank, which fit the budget in a part of the sub-layers only.
    for size in sorted({count * 3 // 4, count * 2 // 3} - {0, count}):
        spread = tuple(edges[k * count // size] for k in range(size))
        yield Proposal(f"spread:n={size}", spread, equal[:size])

    def score(edge: Edge) -> tuple[float, float]:
        return float(ranks[edge.source, edge.target]), float(ties[edge.source, edge.target])

    by_score = sorted(edges, key=score, reverse=True)
    for size in sorted({count // 4, count // 3, count // 2} - {0}):
        yield Proposal(f"gradient-rank:n={size}", tuple(sorted(by_score[:size])), equal[:size])
    rng = np.random.default_rng(seed)
    for number in range(_RANDOM_SETS):
        size = max(1, count // (2 + number % 2))
        chosen = sorted(rng.choice(count, size, replace=False))
        yield Proposal("random", tuple(edges[k] for k in chosen), equal[:size])
