"""Who takes part in a pick: the field of the race, and the baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoplace.agent.steps._propose import Candidate
from autoplace.agent.steps._rate_grid import RateSearch
from autoplace.agent.steps._rates import kinds_of, references
from autoplace.agent.steps._space import SearchSpace
from autoplace.backbones import ResidualChain
from autoplace.model import FullTuning
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
    baselines : list of Trial
        See `baselines`.
    may_win : list of Trial
        Baselines with adapters that are contenders; the others are only compared on test.
    references : dict of str to list of Placement
        What the learning rate of each adapter kind is found with.
    predicted : mapping of Placement to float
        Predicted gain over head-only of every candidate.
    """

    field: list[Trial]
    baselines: list[Trial]
    may_win: list[Trial]
    references: dict[str, list[Placement]]
    predicted: Mapping[Placement, float]

    @property
    def head_only(self) -> Trial:
        """The head without adapters."""
        return self.baselines[0]

    @property
    def kinds(self) -> list[str]:
        """Adapter kinds of the field and of the baselines that may win."""
        trials = [*self.field, *self.may_win]
        return sorted({kind for trial in trials for kind in kinds_of(trial)})

    def references_of(self, kind: str) -> list[Placement]:
        """Return what the rate of a kind is found with; where the budget is tight, a candidate."""
        of_kind = [trial.placement for trial in self.field if kind in kinds_of(trial)]
        candidates = [placement for placement in of_kind if isinstance(placement, Placement)]
        return self.references[kind] or candidates[:1]

    def favourite(self, rates: Mapping[str, RateSearch]) -> list[Trial]:
        """Return the kind that did best in the search for rates, with its first reference.

        That is the kind everywhere it can be, if the budget allows it. It needs no race: a race is
        short, and a kind that starts slowly loses it early. There is none where only one kind is
        searched.
        """
        tried = [kind for kind in self.kinds if kind in rates and math.isfinite(rates[kind].loss)]
        if not has_favourite(self.kinds) or not tried:
            return []
        best = min(tried, key=lambda kind: rates[kind].loss)
        everywhere, seed = self.references_of(best)[0], self.head_only.seed
        return [Trial(everywhere, seed, Role.CANDIDATE, f"everywhere:{best}")]

    def prior(self, placement: Placement | FullTuning) -> float:
        """Predicted gain over head-only; NaN if there is none."""
        if isinstance(placement, FullTuning):
            return float("nan")
        return 0.0 if not len(placement) else self.predicted.get(placement, float("nan"))


def has_favourite(kinds: Sequence[object]) -> bool:
    """Whether a kind reaches the finals without a race: one does, if there are several."""
    return len(kinds) > 1


def baselines(space: SearchSpace, settings: PickSettings) -> list[Trial]:
    """Return what the winner is compared with: head-only first, every-block, LoRA, full tuning.

    Every-block and LoRA in every block are left out where they do not fit the parameter budget, and
    every-block also where it is that LoRA. `--baselines minimal` leaves out LoRA, but not where it
    is searched; `full` adds full fine-tuning.
    """
    leaves_out_lora = settings.baselines == "minimal" and not space.searches_lora
    lora = None if leaves_out_lora else space.lora
    every_block = None if space.every_block == lora else space.every_block
    tuned = {
        Role.HEAD_ONLY: Placement(),
        Role.EVERY_BLOCK: every_block,
        Role.LORA: lora,
        Role.FULL: FullTuning() if settings.baselines == "full" else None,
    }
    return [
        Trial(what, settings.seed, role, role, 1.0)
        for role, what in tuned.items()
        if what is not None
    ]


def those_that_may_win(baselines: Sequence[Trial], space: SearchSpace) -> list[Trial]:
    """Return every-block, and LoRA in every block where LoRA is searched."""
    roles = {Role.EVERY_BLOCK, *([Role.LORA] if space.searches_lora else [])}
    return [trial for trial in baselines if trial.role in roles]


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
    compared = baselines(space, settings)
    return Entrants(
        field=[Trial(c.placement, settings.seed, Role.CANDIDATE, c.chosen_by) for c in field],
        baselines=compared,
        may_win=those_that_may_win(compared, space),
        references={spec.kind: references(space, spec, chain.n_nodes) for spec in space.kinds},
        predicted=predicted,
    )
