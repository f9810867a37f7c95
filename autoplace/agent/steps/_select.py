"""Select what to fine-tune: the baselines and the best candidates without near-copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autoplace.agent.steps._propose import Candidate
from autoplace.errors import UserError
from autoplace.placement import Placement
from autoplace.training import Trial
from predictors.vocabulary import Role

NEAR = 2  # Manhattan distance up to which two edges have nearly the same effect


def baseline_trials(every_block: Placement | None, seed: int) -> list[Trial]:
    """Make the trials of head-only and, if it fits the budget, every-block."""
    trials = [Trial(Placement(), seed, Role.HEAD_ONLY, Role.HEAD_ONLY, 1.0)]
    if every_block is not None:
        trials.append(Trial(every_block, seed, Role.EVERY_BLOCK, Role.EVERY_BLOCK, 1.0))
    return trials


def select_trials(
    candidates: Sequence[Candidate],
    predicted: np.ndarray,
    every_block: Placement | None,
    top_k: int,
    seed: int,
) -> list[Trial]:
    """Select the trials of a pick: baselines first, then the top k.

    Parameters
    ----------
    candidates : sequence of Candidate
        All proposed candidates.
    predicted : ndarray (candidates,)
        Predicted gain of each.
    every_block : Placement or None
        It runs as a baseline anyway, so it does not count among the top k.
    top_k : int
        Number of candidates to fine-tune.
    seed : int
        Seed of every trial.

    Raises
    ------
    UserError
        There are fewer than `top_k` candidates.
    """
    rows = [i for i, candidate in enumerate(candidates) if candidate.placement != every_block]
    chosen = select_diverse([candidates[i].placement for i in rows], predicted[rows], top_k)
    return baseline_trials(every_block, seed) + [
        Trial(candidate.placement, seed, Role.CANDIDATE, candidate.chosen_by)
        for candidate in (candidates[rows[k]] for k in chosen)
    ]


def select_diverse(
    placements: Sequence[Placement], predicted: Sequence[float] | np.ndarray, k: int
) -> list[int]:
    """Return the indices of k placements without near-copies, best prediction first.

    If only near-copies are left, those with the best predictions are added.

    Raises
    ------
    UserError
        `k` is below 1 or above the number of placements.
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


def select_field(candidates, predicted, every_block, size, seed):
    rows = [i for i, c in enumerate(candidates) if c.placement != every_block]
    chosen = select_diverse(
        [candidates[i].placement for i in rows], predicted[rows], min(size, len(rows))
    )
    return [candidates[rows[k]] for k in chosen]
