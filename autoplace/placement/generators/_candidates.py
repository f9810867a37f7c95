"""All candidate edge sets of a backbone, each named after the generator that proposed it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from autoplace.placement.generators._early_fans import early_fans
from autoplace.placement.generators._ends import first_k, last_k
from autoplace.placement.generators._every_block import EveryBlockStyle, every_block
from autoplace.placement.generators._gga import gga
from autoplace.placement.generators._near_every_block import near_every_block
from autoplace.placement.generators._proposal import Proposal
from autoplace.placement.generators._random import random_edges
from autoplace.placement.generators._single import single_edges

_SET_SIZES = (2, 3, 4, 6, 8, 12, 24)
_GAMMAS = (0.0, 0.3, 0.6, 0.9)
_RANDOM_SETS = 200


def candidate_edge_sets(
    ranks: NDArray[np.floating], ties: NDArray[np.floating], seed: int
) -> Iterator[Proposal]:
    """Propose edge sets from every generator.

    The order is: every block and what is near it, early fans, then GGA, first-k and last-k for
    each size of `set_sizes`, then random sets, then all single edges. Edge sets may repeat.

    Parameters
    ----------
    ranks : ndarray of shape (n, n)
        Gradient rank; entry [i, j] belongs to Edge(i, j).
    ties : ndarray of shape (n, n)
        Orders edges of equal rank, for example by stable rank. NaN counts as 0.
    seed : int
        Seed of the random sets.

    Yields
    ------
    Proposal
        The generator with its options, the edges, and weights if their ranks should differ.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.arange(25.0).reshape(5, 5)
    >>> proposed = list(candidate_edge_sets(scores, scores, seed=0))
    >>> [proposal.name for proposal in proposed[1:4]]
    ['every-block:sequential', 'every-block:mlp', 'near-every-block:early-three-quarters']
    >>> gga = [proposal for proposal in proposed if proposal.name == "gga:n=2,gamma=0.3"]
    >>> [str(edge) for edge in gga[0].edges]
    ['4>4', '4>1']
    """
    ties = np.nan_to_num(ties)
    n_nodes = len(ranks)
    for style in get_args(EveryBlockStyle):
        yield Proposal(f"every-block:{style}", every_block(n_nodes, style))
    yield from near_every_block(n_nodes)
    yield from early_fans(n_nodes)
    sizes = set_sizes(n_nodes)
    for size in sizes:
        for gamma in _GAMMAS:
            yield Proposal(f"gga:n={size},gamma={gamma:g}", gga(ranks, ties, size, gamma))
        yield Proposal(f"first-k:k={size}", first_k(n_nodes, size))
        yield Proposal(f"last-k:k={size}", last_k(n_nodes, size))
    rng = np.random.default_rng(seed)
    for _ in range(_RANDOM_SETS):
        yield Proposal("random", random_edges(n_nodes, int(rng.choice(sizes)), rng))
    for edges in single_edges(n_nodes):
        yield Proposal("single", edges)


def set_sizes(n_nodes: int) -> list[int]:
    """List the numbers of edges that candidates of several edges have.

    Parameters
    ----------
    n_nodes : int
        Nodes of the backbone.

    Returns
    -------
    list of int
        Ascending, at most `n_nodes - 1`, the number of sub-layers.

    Examples
    --------
    >>> set_sizes(13)
    [2, 3, 4, 6, 8, 12]
    """
    return [size for size in _SET_SIZES if size <= n_nodes - 1]
