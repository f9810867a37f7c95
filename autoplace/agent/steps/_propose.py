"""Propose every candidate for a task, all within one parameter budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoplace.adapters import ParameterBudget
from autoplace.placement import Placement
from autoplace.placement.generators import candidate_edge_sets
from autoplace.probing import ProbeTables


@dataclass(frozen=True)
class Candidate:
    """A placement and the generator that proposed it, e.g. `gga:n=6,gamma=0.6`."""

    placement: Placement
    chosen_by: str


def propose(tables: ProbeTables, budget: ParameterBudget, seed: int) -> list[Candidate]:
    """Return all distinct candidates.

    A placement that is proposed twice keeps the name of the first generator.

    Parameters
    ----------
    tables : ProbeTables
        The probe's tables of the task.
    budget : ParameterBudget
        Edge sets that do not fit are left out.
    seed : int
        Seed of the random sets.
    """
    ranks = tables.matrix("gradient_rank")
    ties = np.nan_to_num(tables.matrix("stable_rank"))
    candidates: dict[Placement, Candidate] = {}
    for name, edges, weights in candidate_edge_sets(ranks, ties, seed):
        placement = budget.fit(edges, weights)
        if placement is not None:
            candidates.setdefault(placement, Candidate(placement, name))
    return list(candidates.values())
