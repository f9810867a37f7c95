"""Variations of every-block with fewer late edges, or more rank and recurrence at early targets."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from autoplace.placement._edge import Edge
from autoplace.placement.generators._every_block import every_block
from autoplace.placement.generators._proposal import Proposal

NEAR_EVERY_BLOCK = "near-every-block"

_FRACTIONS = {
    "three-quarters": Fraction(3, 4),
    "two-thirds": Fraction(2, 3),
    "half": Fraction(1, 2),
    "third": Fraction(1, 3),
    "quarter": Fraction(1, 4),
}
_RECURRENT = (1, 2, 4)


def near_every_block(n_nodes: int) -> list[Proposal]:
    """Propose edge sets that vary every-block towards early targets.

    They are every-block, its attention half and its MLP half without late edges; every-block
    with ranks that fall along the network; and every-block, or its first half, with a few
    recurrent edges from the second half of the network to the first quarter.

    Parameters
    ----------
    n_nodes : int
        Nodes of the backbone.

    Returns
    -------
    list of Proposal
        Distinct proposals of at least two edges, none of them every-block itself. Their names
        start with `near-every-block:`.

    Examples
    --------
    >>> proposed = {each.name: each for each in near_every_block(n_nodes=9)}
    >>> [str(edge) for edge in proposed["near-every-block:early-half"].edges]
    ['0>1', '1>2', '2>3', '3>4']
    >>> proposed["near-every-block:ranks-step"].weights
    (3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0)
    >>> [str(edge) for edge in proposed["near-every-block:early-half+recurrent-1"].edges]
    ['0>1', '1>2', '2>3', '3>4', '8>1']
    """
    every = every_block(n_nodes)
    taken = {_equal("", every)[1:]}
    chosen = []
    for proposal in _variations(every):
        key = proposal[1:]
        # In a shallow network, some variations are equal or have a single edge.
        if len(proposal.edges) > 1 and key not in taken:
            taken.add(key)
            chosen.append(proposal._replace(name=f"{NEAR_EVERY_BLOCK}:{proposal.name}"))
    return chosen


def _variations(every: tuple[Edge, ...]) -> Iterator[Proposal]:
    attention, mlp = every[0::2], every[1::2]
    half = _first(every, _FRACTIONS["half"])
    for name, fraction in _FRACTIONS.items():
        yield _equal(f"early-{name}", _first(every, fraction))
    yield _equal("attention", attention)
    for part, edges in (("attention", attention), ("mlp", mlp)):
        for name in ("half", "third"):
            yield _equal(f"{part}-early-{name}", _first(edges, _FRACTIONS[name]))
        yield Proposal(f"{part}+ranks-linear", edges, _linear(len(edges)))
    for name, weights in _profiles(len(every)).items():
        yield Proposal(f"ranks-{name}", every, weights)
    most = _first(every, _FRACTIONS["three-quarters"])
    yield Proposal("early-three-quarters+ranks-linear", most, _linear(len(most)))
    for count in _RECURRENT:
        for part, edges in (("all", every), ("early-half", half)):
            yield _equal(f"{part}+recurrent-{count}", edges + _recurrent(len(every), count))


def _equal(name: str, edges: tuple[Edge, ...]) -> Proposal:
    """Propose edges with equal weights, since a common rank can leave much of the budget over."""
    return Proposal(name, edges, (1.0,) * len(edges))


def _first(edges: tuple[Edge, ...], fraction: Fraction) -> tuple[Edge, ...]:
    return edges[: round(len(edges) * fraction)]


def _profiles(count: int) -> dict[str, tuple[float, ...]]:
    """Name weights that fall from the first edge to the last.

    Linear weights are not among them: they share more than 80 % of the rank with every-block, so
    they would be a near-copy of it.
    """
    return {
        "halving": tuple(0.5 ** (4 * k / count) for k in range(count)),  # in each quarter
        "step": tuple(3.0 if 2 * k < count else 1.0 for k in range(count)),
    }


def _linear(count: int) -> tuple[float, ...]:
    return tuple(float(k) for k in range(count, 0, -1))


def _recurrent(last: int, count: int) -> tuple[Edge, ...]:
    """Spread recurrent edges from the second half, the last node first, to the first quarter."""
    sources = [last - k * last // (2 * count) for k in range(count)]
    targets = [1 + k * last // (4 * count) for k in range(count)]
    pairs = dict.fromkeys(zip(sources, targets, strict=True))
    return tuple(Edge(source, target) for source, target in pairs if source > target)
