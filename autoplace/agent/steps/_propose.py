"""Every placement worth predicting for a task, all within one parameter budget."""

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
    """All distinct candidates; a placement that is proposed twice keeps its first proposer's name.

    Parameters
    ----------
    tables : ProbeTables
        Of the task.
    budget : ParameterBudget
        Edge sets that do not fit are left out.
    seed : int
        Of the random sets.
    """
    ranks = tables.matrix("gradient_rank")
    ties = np.nan_to_num(tables.matrix("stable_rank"))
    candidates: dict[Placement, Candidate] = {}
    for name, edges in candidate_edge_sets(ranks, ties, seed):
        placement = budget.fit(edges)
        if placement is not None:
            candidates.setdefault(placement, Candidate(placement, name))
    return list(candidates.values())
