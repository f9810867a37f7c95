"""The search space of a backbone; settings that cannot work are refused before the probe."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autoplace.adapters import ParameterBudget, edge_parameters
from autoplace.agent.steps._kinds import LORA_QKV, read_kinds
from autoplace.backbones import BackboneShape, ResidualChain
from autoplace.errors import UserError
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.placement.generators import every_block
from autoplace.settings import PickSettings, PlacementSettings
from autoplace.training import Task, count_folds

DEFAULT_FOLDS = 2


@dataclass(frozen=True)
class SearchSpace:
    """All placements of some adapter kinds within one parameter budget.

    Attributes
    ----------
    kinds : tuple of AdapterSpec
        Kinds that candidates may have, with the options that are given; without ranks.
    budget : ParameterBudget
        The budget of every candidate, for the first kind: the more edges, the lower the rank.
    every_block : Placement or None
        An adapter of the first kind in every block, at the same budget; None if it does not fit.
    lora : Placement or None
        LoRA on queries, keys and values of every block, at the same budget; None if it does not
        fit.
    """

    kinds: tuple[AdapterSpec, ...]
    budget: ParameterBudget
    every_block: Placement | None
    lora: Placement | None

    def budget_of(self, spec: AdapterSpec) -> ParameterBudget:
        """Return the same budget for another kind."""
        return replace(self.budget, spec=spec)

    @property
    def searches_lora(self) -> bool:
        """Whether LoRA is among the kinds, so that the baseline may win.

        Not where the user wants another variant of it: the baseline is none of its placements, and
        may need another rate.
        """
        return not {AdapterSpec(LORA_QKV.kind), LORA_QKV}.isdisjoint(self.kinds)


def search_space(chain: ResidualChain, settings: PlacementSettings) -> SearchSpace:
    """Return the search space of a backbone.

    Parameters
    ----------
    chain : ResidualChain
        The backbone.
    settings : PlacementSettings
        Budget and adapter kinds.

    Raises
    ------
    UserError
        Nothing fits the budget, or a kind or an option is unknown.
    """
    budget = parameter_budget(settings, chain.shape)
    lora = replace(budget, spec=LORA_QKV).fit(every_block(chain.n_nodes)[0::2])
    every = every_block_baseline(chain.n_nodes, budget)
    return SearchSpace(read_kinds(settings.adapter), budget, every, lora)


def parameter_budget(settings: PlacementSettings, shape: BackboneShape) -> ParameterBudget:
    """Return the number of adapter parameters that every candidate may have, for the first kind.

    Without --edges and --max-params it grows with the depth of the backbone, so that adapters at
    every sub-layer have rank 2 at any depth.

    Raises
    ------
    UserError
        Nothing fits, or the adapter kind is unknown.

    Examples
    --------
    >>> parameter_budget(PlacementSettings(), BackboneShape.plain(dim=96)).parameters
    9264
    """
    edges = settings.edges or max(1, (shape.n_nodes - 1) // 4)
    # In bottlenecks, whatever the kind is, so that kinds compete with the same budget.
    bottleneck = AdapterSpec.of("bottleneck", r=settings.rank)
    parameters = settings.max_params or edges * edge_parameters(bottleneck, Edge(0, 0), shape)
    budgets = [ParameterBudget(spec, shape, parameters) for spec in read_kinds(settings.adapter)]
    smallest = min(budget.smallest for budget in budgets)
    if parameters < smallest:
        raise UserError(
            f"no candidate fits {parameters} parameters; the smallest possible one takes "
            f"{smallest}, so raise --max-params"
        )
    return budgets[0]


def every_block_baseline(n_nodes: int, budget: ParameterBudget) -> Placement | None:
    """Return adapters at every sub-layer, or at every MLP or attention if the budget is tight.

    It is None if the budget is too small for any of them, or the kind cannot be there.
    """
    every = every_block(n_nodes)
    for edges in (every, every_block(n_nodes, "mlp"), every[0::2]):
        placement = budget.fit(edges)
        if placement is not None:
            return placement
    return None


def count_comparisons(task: Task, settings: PickSettings) -> int:
    """Return the number of folds, or of seeds, on which finalists are compared.

    Raises
    ------
    UserError
        The images cannot be divided into as many folds as were asked for.
    """
    asked = settings.folds or DEFAULT_FOLDS
    if not task.data.made_val:  # the user's validation images are the only fold
        return asked
    most = count_folds(task)
    if settings.folds is not None and asked > most:
        groups = "" if task.data.groups is None else "; groups stay together"
        raise UserError(
            f"--folds is {asked}, but training and validation images can be divided into "
            f"{most} at most{groups}; give a smaller number"
        )
    return min(asked, most)
