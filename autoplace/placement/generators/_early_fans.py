"""Fans: a few long-range edges from an early node to other early nodes."""

from __future__ import annotations

import itertools

from autoplace.placement._edge import Edge
from autoplace.placement.generators._proposal import Proposal

_HUBS = 7
# How far the targets lie beyond the hub, in 24ths of the network: 3>5+3>8 has the first two.
_REACHES = ((2, 5), (2, 5, 8), (3, 8))


def early_fans(n_nodes: int) -> list[Proposal]:
    """Propose sets of two to six long-range edges to early targets, such as `3>5+3>8`.

    A fan has one source, the hub, in the first quarter of the network, and two or three targets
    beyond it. Two fans of neighbouring hubs form another set.

    Parameters
    ----------
    n_nodes : int
        Nodes of the backbone.

    Returns
    -------
    list of Proposal
        Distinct edge sets; their names give the hub, and the targets' distance from it in 24ths
        of the network.

    Examples
    --------
    >>> for name, edges, _ in early_fans(n_nodes=25)[18:21]:
    ...     print(name, *edges)
    early-fan:hub=3,reach=2+5 3>5 3>8
    early-fan:hub=3+4,reach=2+5 3>5 3>8 4>6 4>9
    early-fan:hub=3,reach=2+5+8 3>5 3>8 3>11
    """
    last = n_nodes - 1
    quarter = last // 4
    hubs = sorted({round(k * quarter / (_HUBS - 1)) for k in range(_HUBS)})
    proposals: dict[frozenset[Edge], Proposal] = {}
    for hub, reach in itertools.product(hubs, _REACHES):
        one, following = _fan(hub, reach, last), _fan(hub + 1, reach, last)
        for name, edges in ((f"{hub}", one), (f"{hub}+{hub + 1}", one + following)):
            steps = "+".join(map(str, reach))
            proposal = Proposal(f"early-fan:hub={name},reach={steps}", edges)
            if len(edges) > 1:
                proposals.setdefault(frozenset(edges), proposal)
    return list(proposals.values())


def _fan(hub: int, reach: tuple[int, ...], last: int) -> tuple[Edge, ...]:
    targets = sorted({hub + max(2, round(steps * last / 24)) for steps in reach})
    return tuple(Edge(hub, target) for target in targets if target <= last)
