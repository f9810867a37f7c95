"""Who takes part in a pick: the field of the race, and the baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoplace.agent.steps._kinds import LORA_QKV
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
    head_only : Trial
        The head without adapters.
    every_block : list of Trial
        An adapter in every block; empty if it does not fit the parameter budget.
    lora : list of Trial
        LoRA in every block; empty if it does not fit the parameter budget.
    full : list of Trial
        Full fine-tuning, if it was asked for.
    references : dict of str to list of Placement
        What the learning rate of each adapter kind is found with.
    lora_may_win : bool
        Whether LoRA in every block is a contender, or only compared on test.
    predicted : mapping of Placement to float
        Predicted gain over head-only of every candidate.
    """

    field: list[Trial]
    head_only: Trial
    every_block: list[Trial]
    lora: list[Trial]
    full: list[Trial]
    references: dict[str, list[Placement]]
    predicted: Mapping[Placement, float]
    lora_may_win: bool

    @property
    def kinds(self) -> list[str]:
        """Adapter kinds of the field and of the baselines that may win."""
        trials = [*self.field, *self.every_block, *(self.lora if self.lora_may_win else [])]
        return sorted({kind for trial in trials for kind in kinds_of(trial)})

    def references_of(self, kind: str) -> list[Placement]:
        """Return what the rate of a kind is found with; where the budget is tight, a candidate."""
        of_kind = [trial.placement for trial in self.field if kind in kinds_of(trial)]
        candidates = [placement for placement in of_kind if isinstance(placement, Placement)]
        return self.references[kind] or candidates[:1]

    @property
    def contenders(self) -> int:
        """Baselines besides head-only that may win."""
        return len(self.every_block) + (len(self.lora) if self.lora_may_win else 0)

    @property
    def favourites(self) -> int:
        """Adapter kinds that reach the finals without a race: one, if there are several."""
        return int(len(self.kinds) > 1)

    def favourite(self, rates: Mapping[str, RateSearch]) -> list[Trial]:
        """Return the kind that did best in the search for rates, everywhere it can be.

        A race is short, and a kind that starts slowly loses it early.
        """
        tried = [kind for kind in self.kinds if kind in rates and math.isfinite(rates[kind].loss)]
        if not self.favourites or not tried:
            return []
        best = min(tried, key=lambda kind: rates[kind].loss)
        everywhere, seed = self.references_of(best)[0], self.head_only.seed
        return [Trial(everywhere, seed, Role.CANDIDATE, f"everywhere:{best}")]

    @property
    def sides(self) -> int:
        """Winner and baselines that are trained for the test, except head-only."""
        return 1 + len(self.every_block) + len(self.lora) + len(self.full)

    def prior(self, placement: Placement | FullTuning) -> float:
        """Predicted gain over head-only; NaN if there is none."""
        if isinstance(placement, FullTuning):
            return float("nan")
        return 0.0 if not len(placement) else self.predicted.get(placement, float("nan"))


def lora_baseline(space: SearchSpace, settings: PickSettings) -> Placement | None:
    """Return LoRA in every block, or None if it does not fit or is left out.

    `--baselines minimal` leaves it out, but not where LoRA is searched: there it may win.
    """
    is_left_out = settings.baselines == "minimal" and not space.searches_lora
    return None if is_left_out else space.lora


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

    def baseline(placement: Placement | FullTuning, role: Role) -> Trial:
        return Trial(placement, settings.seed, role, role, 1.0)

    def baselines(placement: Placement | None, role: Role) -> list[Trial]:
        return [] if placement is None else [baseline(placement, role)]

    specs = {spec.kind: spec for spec in space.kinds}
    if space.lora is not None:
        specs.setdefault(LORA_QKV.kind, LORA_QKV)
    return Entrants(
        field=[Trial(c.placement, settings.seed, Role.CANDIDATE, c.chosen_by) for c in field],
        head_only=baseline(Placement(), Role.HEAD_ONLY),
        every_block=baselines(space.every_block, Role.EVERY_BLOCK),
        lora=baselines(lora_baseline(space, settings), Role.LORA),
        full=[baseline(FullTuning(), Role.FULL)] if settings.baselines == "full" else [],
        references={kind: references(space, spec, chain.n_nodes) for kind, spec in specs.items()},
        predicted=predicted,
        lora_may_win=space.searches_lora,
    )
