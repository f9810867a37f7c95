"""The steps that commands are made of, one file per step.

docs/architecture.md walks through the steps of `pick` in order.
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
