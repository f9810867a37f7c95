"""The search space of a backbone; settings that cannot work are refused before the probe."""

from __future__ import annotations

from dataclasses import dataclass

from autoplace.adapters import ParameterBudget, adapter_config, edge_parameters
from autoplace.backbones import BackboneShape, ResidualChain
from autoplace.errors import UserError
from autoplace.placement import AdapterSpec, Edge, Placement, PlacementError
from autoplace.placement.generators import count_candidates, every_block
from autoplace.settings import PickSettings, PlacementSettings
from autoplace.training import Task, count_folds

DEFAULT_FOLDS = 2


@dataclass(frozen=True)
class SearchSpace:
    """All placements within one parameter budget.

    Attributes
    ----------
    budget : ParameterBudget
        The budget of every candidate: the more edges, the lower the rank.
    every_block : Placement or None
        An adapter in every block, at the same budget; None if it does not fit.
    """

    budget: ParameterBudget
    every_block: Placement | None


def search_space(chain: ResidualChain, settings: PlacementSettings, top_k: int = 1) -> SearchSpace:
    """Return the search space of a backbone.

    Parameters
    ----------
    chain : ResidualChain
        The backbone.
    settings : PlacementSettings
        Budget and adapter kind.
    top_k : int, default=1
        Number of candidates that will be selected.

    Raises
    ------
    UserError
        Not even one edge of rank 1 fits the budget, the adapter kind is unknown, or `top_k` is
        larger than the number of candidates.
    """
    most = count_candidates(chain.n_nodes)
    if top_k > most:
        raise UserError(
            f"--top-k is {top_k}, but a backbone of {chain.n_nodes} nodes has at most {most} "
            "candidates; give a smaller number"
        )
    budget = parameter_budget(settings, chain.shape)
    return SearchSpace(budget, every_block_baseline(chain.n_nodes, budget))


def parameter_budget(settings: PlacementSettings, shape: BackboneShape) -> ParameterBudget:
    """Return the number of adapter parameters that every candidate may have.

    Without --edges and --max-params it grows with the depth of the backbone, so that adapters at
    every sub-layer have rank 2 at any depth.

    Raises
    ------
    UserError
        Not even one edge of rank 1 fits, or the adapter kind is unknown.

    Examples
    --------
    >>> parameter_budget(PlacementSettings(), BackboneShape.plain(dim=96)).parameters
    9264
    """
    edges = settings.edges or max(1, (shape.n_nodes - 1) // 4)
    # In bottlenecks, whatever the kind is, so that kinds compete with the same budget.
    bottleneck = AdapterSpec.of("bottleneck", r=settings.rank)
    parameters = settings.max_params or edges * edge_parameters(bottleneck, Edge(0, 0), shape)
    budget = ParameterBudget(adapter_template(settings.adapter), shape, parameters)
    if parameters < budget.smallest:
        raise UserError(
            f"no candidate fits {parameters} parameters; one edge of rank 1 takes "
            f"{budget.smallest}, so raise --max-params"
        )
    return budget


def adapter_template(text: str) -> AdapterSpec:
    """Read `--adapter`: a kind with its options, without a rank, which the budget sets.

    Raises
    ------
    PlacementError
        The text cannot be read, the kind or an option is unknown, or a rank is given.

    Examples
    --------
    >>> str(adapter_template("lora:maps=qkv"))
    'lora:maps=qkv'
    """
    spec = AdapterSpec.parse(text)
    adapter_config(spec)
    if "r" in dict(spec.options):
        raise PlacementError(
            f"--adapter {text} gives a rank, but the parameter budget sets the ranks; leave r out "
            "and use --rank, --edges or --max-params"
        )
    return spec


def every_block_baseline(n_nodes: int, budget: ParameterBudget) -> Placement | None:
    """Return adapters parallel to every sub-layer, or to every MLP if the budget is tight.

    It is None if the budget is too small for either.
    """
    for edges in (every_block(n_nodes, "parallel"), every_block(n_nodes, "mlp")):
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
