"""What a pick is going to do: probe, propose, predict, choose; nothing is trained or written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoplace.agent._candidates import Candidate, check_top_k, every_block_baseline, propose
from autoplace.agent._open import Probed, open_task, probe_task
from autoplace.agent._predicting import PredictorInCharge, predict_gains, predictor_in_charge
from autoplace.agent._progress import Progress
from autoplace.agent._selection import select_diverse
from autoplace.execution import TrialRequest
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.tracking import Store
from autoplace.training import Task

SEEDS = 3
HEAD_ONLY, EVERY_BLOCK, TOP_K, REPEAT = "head-only", "every-block", "top-k", "repeat"


@dataclass(frozen=True)
class Plan:
    """What a pick is going to do, before anything is trained."""

    task: Task
    probed: Probed
    candidates: list[Candidate]
    predicted: np.ndarray
    chosen: list[int]
    every_block: Placement | None
    in_charge: PredictorInCharge

    def requests(self, seed: int) -> list[TrialRequest]:
        """The trials of the choice: baselines first, for a deadline must not cost them."""
        requests = [TrialRequest(Placement(), seed, HEAD_ONLY, HEAD_ONLY, 1.0)]
        if self.every_block is not None:
            requests.append(TrialRequest(self.every_block, seed, EVERY_BLOCK, EVERY_BLOCK, 1.0))
        for index in self.chosen:
            candidate = self.candidates[index]
            requests.append(TrialRequest(candidate.placement, seed, TOP_K, candidate.chosen_by))
        return requests


def make_plan(source: str, settings: PickSettings, store: Store, progress: Progress) -> Plan:
    """Probe, propose and predict; trains and writes nothing.

    Raises UserError (of any room) and PredictorError for what the user can mend.
    """
    in_charge = predictor_in_charge(store, settings.predictor)
    task = open_task(source, settings, settings, progress)
    n_nodes, dim = task.chain.n_nodes, task.chain.dim
    check_top_k(settings.top_k, n_nodes)
    every_block = every_block_baseline(n_nodes, settings, dim)
    progress.stage(f"Probing all {n_nodes**2} edges of {task.chain.name} on {task.data.name}")
    probed = probe_task(task, settings)
    candidates = propose(probed.tables, settings, dim, settings.seed)
    placements = [candidate.placement for candidate in candidates]
    predicted = predict_gains(in_charge.predictor, placements, probed.tables, task.chain.name)
    # Every-block runs anyway, as a baseline; a top-k place for it would be wasted.
    open_to_choice = [i for i, placement in enumerate(placements) if placement != every_block]
    picked = select_diverse(
        [placements[i] for i in open_to_choice], predicted[open_to_choice], settings.top_k
    )
    chosen = [open_to_choice[i] for i in picked]
    if every_block is None:
        progress.note("every-block does not fit the parameter budget even at rank 1; not compared")
    return Plan(task, probed, candidates, predicted, chosen, every_block, in_charge)
