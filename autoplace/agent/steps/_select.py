"""Select the field of a race: the best predicted candidates, of different kinds and no copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Self

import numpy as np

from autoplace.adapters import adapter_rank
from autoplace.agent.steps._propose import Candidate
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.placement.generators import ALL, NEAR_EVERY_BLOCK

FIELD_SIZE = 24
MIXED = 0.5  # share of a combination of kinds, against that of a kind alone
_COPIED = 0.8  # share of the rank of each that a near-copy has in common
# An edge and those at Manhattan distance 1 from it have nearly the same effect.
_NEIGHBOURHOOD = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
# Fewest and most edges of one, few, several and many.
_STRATA = ((1, 1), (2, 4), (5, 11), (12, float("inf")))


def select_field(
    candidates: Sequence[Candidate],
    predicted: Sequence[float] | np.ndarray,
    avoided: Sequence[Placement],
    size: int = FIELD_SIZE,
    seed: int = 0,
) -> list[Candidate]:
    """Select the candidates of a race.

    Parameters
    ----------
    candidates : sequence of Candidate
        All proposed candidates.
    predicted : ndarray of shape (candidates,)
        Predicted gain of each.
    avoided : sequence of Placement
        Baselines, which take part in any case, so near-copies of them are left out.
    size : int, default=24
        Number of candidates to select.
    seed : int, default=0
        Orders candidates with equal predictions.

    Returns
    -------
    list of Candidate
        Best prediction first, no two of them near-copies; fewer than `size` if no more are left.

    Notes
    -----
    The predictor is biased: trained on one set of tasks, backbones and adapter kinds, it can
    prefer one sort of placement on all others. So prediction alone does not fill the field. Each
    adapter kind gets an equal share, and each combination of kinds half of that. A third of the
    share is kept for the best predicted candidates near every-block, or three quarters of it for
    those inside all sub-layers, which rarely do badly, and an eighth for each of one, few, several
    and many edges. The race then decides.
    """
    random = np.random.default_rng(seed).permutation(len(candidates))
    order = np.lexsort((random, -np.asarray(predicted, dtype=float)))
    field = _Field(candidates, [int(index) for index in order], avoided)
    groups = sorted({candidate.kinds for candidate in candidates})
    weights = [MIXED if "+" in kinds else 1.0 for kinds in groups]
    ends = [round(size * sum(weights[:number]) / sum(weights)) for number in range(len(groups) + 1)]
    for kinds, (start, end) in zip(groups, pairwise(ends), strict=True):
        share = end - start
        only = partial(_has_kinds, kinds)
        field.take(min(share, 1), only)
        field.take(share // 3, only, _is_near_every_block)
        field.take(share * 3 // 4, only, _is_everywhere)
        for fewest, most in _STRATA:
            field.take(share // 8, only, partial(_has_edges, fewest, most))
        field.take(share, only)
    field.take(size)
    return [candidates[index] for index in field.order if index in field.taken]


@dataclass(frozen=True)
class Footprint:
    """The rank that a placement has on each edge, and on each edge with its neighbours.

    Two placements are near-copies if at least 80 % of the rank of each is on edges that are the
    same as, or next to, edges of the other with as much rank. A placement that runs the network
    several times is no copy of one that runs it once.

    Examples
    --------
    >>> every = Placement.parse("0>1+1>2+2>3+3>4+4>5+5>6@bottleneck:r=2")
    >>> but_one = Placement.parse("0>1+1>2+2>3+3>4+4>5@bottleneck:r=2")
    >>> half = Placement.parse("0>1+1>2+2>3@bottleneck:r=4")
    >>> Footprint.of(every).is_near(Footprint.of(but_one))
    True
    >>> Footprint.of(every).is_near(Footprint.of(half))
    False
    """

    ranks: dict[tuple[str, Edge], int]
    around: Counter[tuple[str, int, int]]
    is_recurrent: bool

    @classmethod
    def of(cls, placement: Placement) -> Self:
        """Return the footprint of a placement with at least one edge."""
        ranks = {(_kind(spec), edge): adapter_rank(spec) or 1 for edge, spec in placement}
        around: Counter[tuple[str, int, int]] = Counter()
        for (kind, edge), rank in ranks.items():
            for source, target in _NEIGHBOURHOOD:
                around[kind, edge.source + source, edge.target + target] += rank
        return cls(ranks, around, placement.is_recurrent)

    def is_near(self, other: Self) -> bool:
        """Whether the two placements are near-copies."""
        if self.is_recurrent != other.is_recurrent:
            return False
        return min(self._covered_by(other), other._covered_by(self)) >= _COPIED

    def _covered_by(self, other: Self) -> float:
        covered = sum(
            min(rank, other.around[kind, edge.source, edge.target])
            for (kind, edge), rank in self.ranks.items()
        )
        return covered / sum(self.ranks.values())


class _Field:
    """Takes candidates in order, without near-copies of each other or of the baselines."""

    def __init__(
        self, candidates: Sequence[Candidate], order: Sequence[int], avoided: Sequence[Placement]
    ) -> None:
        self._candidates = candidates
        self._footprints = [Footprint.of(candidate.placement) for candidate in candidates]
        self._avoided = [Footprint.of(placement) for placement in avoided]
        self.order = order
        self.taken: set[int] = set()

    def take(self, count: int, *conditions: Callable[[Candidate], bool]) -> None:
        """Take candidates of a sort until the field has `count` of them or none is left."""

        def belongs(index: int) -> bool:
            return all(condition(self._candidates[index]) for condition in conditions)

        missing = count - sum(belongs(index) for index in self.taken)
        for index in self.order:
            if missing <= 0:
                return
            footprint = self._footprints[index]
            if index in self.taken or not belongs(index):
                continue
            if not any(footprint.is_near(other) for other in self._avoided):
                self.taken.add(index)
                self._avoided.append(footprint)
                missing -= 1


def _kind(spec: AdapterSpec) -> str:
    """Kind and options without the rank."""
    options = tuple((name, value) for name, value in spec.options if name != "r")
    return str(AdapterSpec(spec.kind, options))


def _has_kinds(kinds: str, candidate: Candidate) -> bool:
    return candidate.kinds == kinds


def _has_edges(fewest: float, most: float, candidate: Candidate) -> bool:
    return fewest <= len(candidate.placement) <= most


def _is_near_every_block(candidate: Candidate) -> bool:
    return candidate.chosen_by.startswith(NEAR_EVERY_BLOCK)


def _is_everywhere(candidate: Candidate) -> bool:
    return candidate.chosen_by.endswith(f":{ALL}")
