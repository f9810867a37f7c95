"""Who takes part in a pick: the field of the race, and the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoplace.agent.steps._propose import Candidate
from autoplace.agent.steps._rates import references
from autoplace.agent.steps._space import SearchSpace
from autoplace.backbones import ResidualChain
from autoplace.model import Tuning
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import Trial
from predictors.vocabulary import Role


@dataclass(frozen=True)
class Entrants:
    """The trials of a pick, before their learning rates are known.

    Attributes
    ----------
    field : list of Trial
        Candidates, the best prediction first.
    head_only : Trial
        The head without adapters.
    every_block : list of Trial
        An adapter in every block; empty if it does not fit the parameter budget.
    tuned : list of Trial
        Baselines that are not placements: LoRA, and full fine-tuning if it was asked for.
    references : list of Placement
        What the learning rate of the adapters is found with.
    predicted : mapping of Placement to float
        Predicted gain over head-only of every candidate.
    """

    field: list[Trial]
    head_only: Trial
    every_block: list[Trial]
    tuned: list[Trial]
    references: list[Placement]
    predicted: Mapping[Placement, float]

    def prior(self, placement: Placement | Tuning) -> float:
        """Predicted gain over head-only; NaN if there is none."""
        if isinstance(placement, Tuning):
            return float("nan")
        return 0.0 if not len(placement) else self.predicted.get(placement, float("nan"))


def enter(
    chain: ResidualChain,
    space: SearchSpace,
    field: Sequence[Candidate],
    predicted: Mapping[Placement, float],
    settings: PickSettings,
) -> Entrants:
    """Make the trials of a pick.

    Parameters
    ----------
    chain : ResidualChain
        The backbone.
    space : SearchSpace
        Its budget, which LoRA shares.
    field : sequence of Candidate
        Candidates that race.
    predicted : mapping of Placement to float
        Predicted gains.
    settings : PickSettings
        Seed and baselines.
    """

    def baseline(placement: Placement | Tuning, role: Role) -> Trial:
        return Trial(placement, settings.seed, role, role, 1.0)

    lora = Tuning.lora_within(chain, space.budget.parameters)
    tuned = [] if lora is None else [baseline(lora, Role.LORA)]
    if settings.baselines == "full":
        tuned.append(baseline(Tuning("full"), Role.FULL))
    every_block = [] if space.every_block is None else [space.every_block]
    return Entrants(
        field=[Trial(c.placement, settings.seed, Role.CANDIDATE, c.chosen_by) for c in field],
        head_only=baseline(Placement(), Role.HEAD_ONLY),
        every_block=[baseline(placement, Role.EVERY_BLOCK) for placement in every_block],
        tuned=tuned,
        references=references(space.every_block, space.budget, chain.n_nodes),
        predicted=predicted,
    )
