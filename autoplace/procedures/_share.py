"""Prune and share, in the style of Pear (arXiv 2409.19733): an adapter serves several edges."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoplace.adapters import Adapter, create_adapter, group_of
from autoplace.backbones import BackboneShape
from autoplace.data import random_state
from autoplace.model import AdaptedModel, Trainable
from autoplace.placement import Edge, Placement
from autoplace.procedures._base import Procedure, ProcedureConfig, ProcedureError, Refined
from autoplace.procedures._knowledge import WithKnowledge, joined_model, joined_spec
from autoplace.procedures._registry import register_procedure
from autoplace.procedures._saliency import summed_gradients
from autoplace.procedures._trainer import Trainer
from autoplace.training import FrozenBatch, Outcome

CHOICES = {
    "score": ("sum", "absolute"),
    "donor": ("nearest", "strongest"),
    "kappa": ("none", "frozen"),
}


@dataclass(frozen=True)
class ShareConfig(ProcedureConfig):
    """Options of sharing.

    Parameters
    ----------
    rate : float, default=0.5
        Share of the adapters that is pruned, from 0 to below 1, rounded down.
    warm_up : int, default=1
        Epochs in which every edge trains its own adapter. At least 1: new adapters are silent, so
        that all scores are zero.
    score : {"sum", "absolute"}, default="sum"
        Importance of an adapter with weights w and gradients g: |Σ g·w|, or Σ |g·w|.
    donor : {"nearest", "strongest"}, default="nearest"
        Which of the adapters that stay serves a pruned edge: the nearest in depth, or the most
        important.
    kappa : {"none", "frozen"}, default="none"
        `frozen` keeps a copy of each pruned adapter that is added but not trained.

    Examples
    --------
    >>> ShareConfig(rate=0.25).warm_up
    1
    >>> try:
    ...     ShareConfig(rate=1.0)
    ... except ProcedureError as error:
    ...     print(error)
    rate=1.0 must be a number from 0 to below 1: the share of adapters that is pruned
    """

    rate: float = 0.5
    warm_up: int = 1
    score: str = "sum"
    donor: str = "nearest"
    kappa: str = "none"

    def __post_init__(self) -> None:
        number = isinstance(self.rate, int | float) and not isinstance(self.rate, bool)
        if not number or not 0 <= self.rate < 1:
            raise ProcedureError(
                f"rate={self.rate} must be a number from 0 to below 1: the share of adapters that "
                "is pruned"
            )
        if not isinstance(self.warm_up, int) or isinstance(self.warm_up, bool) or self.warm_up < 1:
            raise ProcedureError(f"warm_up={self.warm_up} must be a whole number of at least 1")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ProcedureError(
                    f"{name}={getattr(self, name)} is not one of {', '.join(allowed)}"
                )


@register_procedure("share")
class Share(Procedure):
    """Train all adapters, prune the least important ones, and share others in their place.

    In training, an adapter that is shared is one module on several edges, so the gradients of its
    uses add up. The resulting model has a copy for each edge.
    An edge can only get an adapter of its own kind and options. Training goes on with the
    optimiser's moments of the adapters that stay.

    Parameters
    ----------
    config : ShareConfig
        Options.

    Notes
    -----
    Only the abstract of the paper and a review could be read. The criterion, the choice
    of an adapter for a pruned edge and the form of the knowledge checkpoint are our own. The
    paper's option `merged` for that checkpoint is not offered.

    References
    ----------
    "Pear: Pruning and Sharing Adapters in Visual Parameter-Efficient Fine-Tuning"
    (arXiv 2409.19733).

    Examples
    --------
    >>> from autoplace.procedures import parse_procedure
    >>> parse_procedure("share:rate=0.5,kappa=frozen").config.score
    'sum'
    """

    Config = ShareConfig
    paper = "arXiv 2409.19733, in its style"
    config: ShareConfig

    def check(self, placement: Placement, shape: BackboneShape) -> None:
        super().check(placement, shape)
        items = list(placement)
        most = len(items) - len({group_of(spec, edge) for edge, spec in items})
        if self._count(placement) > most:
            raise ProcedureError(
                f"rate={self.config.rate} prunes {self._count(placement)} of {len(items)} "
                f"adapters, but only {most} can be replaced by one of the same kind and options; "
                "lower rate"
            )
        if self.config.kappa == "frozen":
            for edge, spec in items:
                with random_state():
                    names = dict(create_adapter(spec, edge, shape).named_parameters())
                joined_spec(spec, names)

    def check_epochs(self, epochs: int) -> None:
        if self.config.warm_up >= epochs:
            raise ProcedureError(
                f"warm_up={self.config.warm_up} leaves none of the {epochs} epochs for shared "
                "adapters; lower it or train for more epochs"
            )

    def run(self, trainer: Trainer) -> Refined:
        self.check(trainer.placement, trainer.task.chain.shape)
        self.check_epochs(trainer.epochs)
        model = trainer.fresh_model()
        paused = trainer.train(model, until=self.config.warm_up)
        scores = importance(model, trainer.calibration(model.frozen_nodes), self.config.score)
        donors = share_plan(
            trainer.placement, scores, self._count(trainer.placement), self.config.donor
        )
        names = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
        pruned = share_adapters(model, donors)
        trained: Trainable = model
        if self.config.kappa == "frozen":
            trained = WithKnowledge(model, pruned)
        outcome = trainer.train(trained, after=_renamed(paused, names, trained))
        parameters = sum(p.numel() for p in model.adapters.parameters())
        stored = parameters
        if self.config.kappa == "frozen":
            stored += sum(p.numel() for each in pruned.values() for p in each.parameters())
            model = joined_model(model, pruned)
        else:
            _separate(model, donors)
        chose = {
            "importance": {str(edge): score for edge, score in scores.items()},
            "shared": {str(edge): str(donor) for edge, donor in donors.items()},
            "trained": parameters,
            "stored": stored,
        }
        return Refined(model.eval(), parameters, outcome, chose)

    def _count(self, placement: Placement) -> int:
        """Count the adapters that are pruned."""
        return int(self.config.rate * len(placement) + 1e-9)  # 0.29 * 100 is below 29


def importance(
    model: AdaptedModel, batches: Sequence[FrozenBatch], score: str = "sum"
) -> dict[Edge, float]:
    """Score the adapter of each edge by how much the loss changes without it, to first order.

    Parameters
    ----------
    model : AdaptedModel
        A model whose adapters have been trained for some steps.
    batches : sequence of FrozenBatch
        Images; the gradients g are those of their mean loss.
    score : {"sum", "absolute"}, default="sum"
        |Σ g·w| or Σ |g·w| over the weights w of an adapter.

    Returns
    -------
    dict of Edge to float
        In the order of the placement.
    """
    parameters = {
        (edge, name): parameter
        for edge in model.placement.edges
        for name, parameter in model.adapter(edge).named_parameters()
        # What a kind shares between edges does not go with one of them.
        if name not in model.adapter(edge).shared
    }
    gradients = summed_gradients(model, list(parameters.values()), batches)
    totals = dict.fromkeys(model.placement.edges, 0.0)
    for ((edge, _), parameter), gradient in zip(parameters.items(), gradients, strict=True):
        products = gradient.double() * parameter.detach().double()
        totals[edge] += float((products if score == "sum" else products.abs()).sum())
    return {edge: abs(total) for edge, total in totals.items()}


def share_plan(
    placement: Placement, scores: Mapping[Edge, float], count: int, donor: str = "nearest"
) -> dict[Edge, Edge]:
    """Choose the edges whose adapters are pruned, and whose adapters serve them.

    Parameters
    ----------
    placement : Placement
        Edges with their adapters.
    scores : mapping of Edge to float
        Importance of each adapter.
    count : int
        Number of adapters to prune. The least important go, the first in depth of equal ones, but
        the last of its kind and options stays.
    donor : {"nearest", "strongest"}, default="nearest"
        Of the adapters of its kind and options, a pruned edge gets the nearest or the most
        important one with a target of the same sub-layer type, or else of the other.

    Returns
    -------
    dict of Edge to Edge
        By pruned edge.

    Examples
    --------
    >>> placement = Placement.parse("0>1+1>2+2>3+3>4")
    >>> scores = dict(zip(placement.edges, [0.1, 3.0, 2.0, 0.2]))
    >>> {str(edge): str(donor) for edge, donor in share_plan(placement, scores, 2).items()}
    {'0>1': '2>3', '3>4': '1>2'}
    """
    groups = {edge: group_of(spec, edge) for edge, spec in placement}
    stay = sorted(placement.edges, key=lambda edge: (edge.target, edge.source))
    pruned: list[Edge] = []
    for edge in sorted(stay, key=lambda edge: scores[edge]):
        last = sum(groups[other] == groups[edge] for other in stay) == 1
        if len(pruned) < count and not last:
            stay.remove(edge)
            pruned.append(edge)

    def rank(edge: Edge, other: Edge) -> tuple[float, ...]:
        distance = abs(edge.target - other.target)
        other_type = distance % 2  # attention and MLP take turns
        return (other_type, distance if donor == "nearest" else -scores[other])

    return {
        edge: min(
            (other for other in stay if groups[other] == groups[edge]),
            key=lambda other: rank(edge, other),
        )
        for edge in pruned
    }


def share_adapters(model: AdaptedModel, donors: Mapping[Edge, Edge]) -> dict[Edge, Adapter]:
    """Put one module on several edges, in place; return copies of the adapters that were there.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> model = AdaptedModel(create_chain("starter"), Placement.parse("0>1+2>3"), ("cat", "dog"))
    >>> _ = share_adapters(model, {Edge(0, 1): Edge(2, 3)})
    >>> model.adapter(Edge(0, 1)) is model.adapter(Edge(2, 3))
    True
    """
    pruned = {edge: copy.deepcopy(model.adapter(edge)).requires_grad_(False) for edge in donors}
    for edge, donor in donors.items():
        model.adapters[str(edge)] = model.adapter(donor)
    return pruned


def _separate(model: AdaptedModel, donors: Mapping[Edge, Edge]) -> None:
    """Give each edge a copy of its own, as saved models have them."""
    for edge in donors:
        model.adapters[str(edge)] = copy.deepcopy(model.adapter(edge))


def _renamed(paused: Outcome, names: Mapping[int, str], model: Trainable) -> Outcome:
    """Give moments the names that their parameters have now; those of pruned ones go."""
    checkpoint = paused.checkpoint
    assert checkpoint is not None
    now = {name: names[id(p)] for name, p in model.named_parameters() if p.requires_grad}
    moments = {
        moment: {name: by_name[before] for name, before in now.items()}
        for moment, by_name in checkpoint.moments.items()
    }
    return replace(paused, checkpoint=replace(checkpoint, moments=moments))
