"""The steps that commands are made of, one file per step.

The steps of `pick`, in order: active_predictor, open, space, probe, propose, predict, select,
entrants, read, cost, record, document_plan, executor, contest, rounds, record_trials, row, rates,
afford, race, choose, refit, testing, document, card, save. `collect` also samples its placements
(sample), and `retrain` reads its rows from the records (training_rows). Commands and steps share
errors, load, pick_result, progress and provenance.
"""

from autoplace.agent.steps._open import open_task
from autoplace.agent.steps._probe import probe_task
from autoplace.agent.steps._sample import read_placements, sample_trials
from autoplace.agent.steps._space import parameter_budget
from autoplace.agent.steps._training_rows import training_set

__all__ = [
    "open_task",
    "parameter_budget",
    "probe_task",
    "read_placements",
    "sample_trials",
    "training_set",
]
