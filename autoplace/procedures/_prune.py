"""SparseAdapter (He et al. 2022, arXiv 2210.04284): adapter weights pruned before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from autoplace.adapters import adapter_rank, count_parameters, create_adapter
from autoplace.backbones import BackboneShape
from autoplace.data import random_state
from autoplace.model import AdaptedModel
from autoplace.placement import AdapterSpec, Placement
from autoplace.procedures._base import Procedure, ProcedureConfig, ProcedureError, Refined
from autoplace.procedures._masks import (
    Masks,
    apportion,
    held_at_zero,
    keep_highest,
    keep_highest_of_each,
    set_to_zero,
)
from autoplace.procedures._registry import register_procedure
from autoplace.procedures._saliency import (
    Matrices,
    Scores,
    grasp_scores,
    magnitude_scores,
    prunable,
    random_scores,
    snip_scores,
)
from autoplace.procedures._trainer import Trainer
from autoplace.training import FrozenBatch

SCORES = ("random", "magnitude", "snip", "grasp", "er")
OF_WEIGHTS = ("magnitude", "snip", "grasp")  # all weights of a zero matrix have an equal score
STANDARD_DEVIATION = 0.02


@dataclass(frozen=True)
class PruneConfig(ProcedureConfig):
    """Options of pruning.

    Parameters
    ----------
    score : {"snip", "grasp", "magnitude", "random", "er"}, default="snip"
        Which weights are kept: those with the highest |g ⊙ W| (`snip`), W ⊙ (H g) (`grasp`), |W|
        (`magnitude`) or random number (`random`). `er` is random as well, but the density of each
        matrix is in proportion to (inputs + outputs) / (inputs · outputs).
    sparsity : float, default=0.4
        Share of the adapter matrices' weights that is pruned, from 0 to below 1.
    scope : {"global", "matrix"}, default="global"
        Whether weights compete over all matrices, or within each; not used by `er`.
    rounds : int, default=1
        Rounds of scoring and pruning. Of E rounds, round e keeps a share of (1 - sparsity)^(e/E).
    widen : int, default=1
        Multiply each rank by this first. `widen=2,sparsity=0.5` is Large-Sparse: as many weights
        as the dense placement has, in wider adapters.
    init : {"normal", "zero"}, default="normal"
        `normal` draws all matrices, and scales that start at zero, from N(0, 0.02) and sets biases
        to zero, as SparseAdapter does. `zero` keeps the initialisation of the adapter kind, in
        which up-projections are mostly zero; only `random` and `er` can score these.

    Examples
    --------
    >>> PruneConfig(sparsity=0.8).score
    'snip'
    >>> try:
    ...     PruneConfig(sparsity=1.0)
    ... except ProcedureError as error:
    ...     print(error)
    sparsity=1.0 must be a number from 0 to below 1: the share of weights that is pruned
    """

    score: str = "snip"
    sparsity: float = 0.4
    scope: str = "global"
    rounds: int = 1
    widen: int = 1
    init: str = "normal"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("score", SCORES),
            ("scope", ("global", "matrix")),
            ("init", ("normal", "zero")),
        ):
            if getattr(self, name) not in allowed:
                raise ProcedureError(
                    f"{name}={getattr(self, name)} is not one of {', '.join(allowed)}"
                )
        if not _is_number(self.sparsity) or not 0 <= self.sparsity < 1:
            raise ProcedureError(
                f"sparsity={self.sparsity} must be a number from 0 to below 1: the share of "
                "weights that is pruned"
            )
        for name in ("rounds", "widen"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ProcedureError(f"{name}={value} must be a whole number of at least 1")


@register_procedure("prune")
class Prune(Procedure):
    """Prune weights of the adapter matrices once, before the first step, and train the others.

    A pruned weight is zero and stays zero: its gradient is zero at every step, and so are AdamW's
    moments of it. Biases, norms, gates and scales are never pruned. Of M weights, exactly
    `round((1 - sparsity) * M)` are kept.

    Parameters
    ----------
    config : PruneConfig
        Options.

    References
    ----------
    He et al. 2022, "SparseAdapter: An Easy Approach for Improving the Parameter-Efficiency of
    Adapters" (arXiv 2210.04284).

    Examples
    --------
    >>> from autoplace.procedures import parse_procedure
    >>> procedure = parse_procedure("prune:score=grasp,sparsity=0.8")
    >>> procedure.config.sparsity
    0.8
    """

    Config = PruneConfig
    paper = "He et al. 2022, arXiv 2210.04284"
    config: PruneConfig

    def check(self, placement: Placement, shape: BackboneShape) -> None:
        super().check(placement, shape)
        wide = self._widened(placement)
        with random_state():
            adapters = nn.ModuleDict(
                {str(edge): create_adapter(spec, edge, shape) for edge, spec in wide}
            )
        matrices = prunable(adapters)
        if not matrices:
            raise ProcedureError(
                f"'prune' acts on matrices, and the adapters of {placement} have none; give a "
                "placement of another adapter kind"
            )
        self._keep(matrices, self.config.rounds)
        if self.config.sparsity and self.config.score in OF_WEIGHTS and self.config.init == "zero":
            _check_not_zero(adapters, self.config.score)

    def run(self, trainer: Trainer) -> Refined:
        self.check(trainer.placement, trainer.task.chain.shape)
        trainer = trainer.on(self._widened(trainer.placement))
        model = trainer.fresh_model()
        masks = self.prune(model, trainer)
        with held_at_zero(prunable(model.adapters), masks):
            outcome = trainer.train(model)
        kept = {name: int(mask.sum()) for name, mask in masks.items()}
        n_weights = sum(mask.numel() for mask in masks.values())
        n_pruned = n_weights - sum(kept.values())
        return Refined(
            model.eval(),
            count_parameters(trainer.placement, trainer.task.chain.shape) - n_pruned,
            outcome,
            {"kept": sum(kept.values()), "of": n_weights, "kept_of_each": kept},
        )

    def prune(self, model: AdaptedModel, trainer: Trainer) -> Masks:
        """Initialise the adapters of a fresh model, score their weights and choose the masks.

        Parameters
        ----------
        model : AdaptedModel
            Its pruned weights are set to zero.
        trainer : Trainer
            Gives the images and the seed.

        Returns
        -------
        dict of str to bool Tensor
            True where a weight is kept, by name of the matrix.
        """
        matrices = prunable(model.adapters)
        generator = torch.Generator().manual_seed(trainer.trial.seed)
        if self.config.init == "normal":
            _initialise(model.adapters, generator)
        by_loss = self.config.score in ("snip", "grasp")
        batches = trainer.calibration(model.frozen_nodes) if by_loss else []
        masks = {name: torch.ones_like(p, dtype=torch.bool) for name, p in matrices.items()}
        for number in range(1, self.config.rounds + 1):
            scores = self._score(model, matrices, batches, generator)
            for name, score in scores.items():
                if not torch.isfinite(score).all():
                    raise ProcedureError(
                        f"the {self.config.score} scores of {name} are NaN or infinite; use "
                        "another score"
                    )
                score.masked_fill_(~masks[name].to(score.device), -torch.inf)
            masks = self._choose(scores, self._keep(matrices, number))
            set_to_zero(matrices, masks)
        return {name: mask.to(matrices[name].device) for name, mask in masks.items()}

    def _widened(self, placement: Placement) -> Placement:
        return placement if self.config.widen == 1 else widen(placement, self.config.widen)

    def _keep(self, matrices: Matrices, number: int) -> int:
        """Count the weights that are kept after a round."""
        config = self.config
        total = sum(p.numel() for p in matrices.values())
        share = 1 - config.sparsity
        if number < config.rounds:
            share **= number / config.rounds
        kept = round(share * total)
        if not kept:
            raise ProcedureError(
                f"sparsity={config.sparsity} leaves none of the {total} weights; lower it"
            )
        return kept

    def _score(
        self,
        model: AdaptedModel,
        matrices: Matrices,
        batches: Sequence[FrozenBatch],
        generator: torch.Generator,
    ) -> Scores:
        if self.config.score in ("random", "er"):
            return random_scores(matrices, generator)
        if self.config.score == "magnitude":
            return magnitude_scores(matrices)
        score = snip_scores if self.config.score == "snip" else grasp_scores
        return score(model, matrices, batches)

    def _choose(self, scores: Scores, total: int) -> Masks:
        sizes = [score.numel() for score in scores.values()]
        if self.config.score == "er":
            # At a density of ε (inputs + outputs) / (inputs · outputs), there are
            # ε (inputs + outputs) weights.
            sides = [len(s) + s.numel() // len(s) for s in scores.values()]
            return keep_highest_of_each(scores, apportion(total, sizes, sides))
        if self.config.scope == "matrix":
            return keep_highest_of_each(scores, apportion(total, sizes, sizes))
        return keep_highest(scores, total)


def widen(placement: Placement, factor: int) -> Placement:
    """Multiply the rank of every adapter.

    Parameters
    ----------
    placement : Placement
        Its adapter kinds have ranks.
    factor : int
        At least 1.

    Returns
    -------
    Placement
        Pruned at a sparsity of 1 - 1 / factor, it has as many weights as the given placement.

    Raises
    ------
    ProcedureError
        If an adapter kind has no rank.

    Examples
    --------
    >>> print(widen(Placement.parse("0>5+7>3@bottleneck:r=8"), 2))
    0>5+7>3@bottleneck:r=16
    """
    items = []
    for edge, spec in placement:
        rank = adapter_rank(spec)
        if rank is None:
            raise ProcedureError(
                f"adapter kind '{spec.kind}' has no rank, so it cannot be widened; leave widen out"
            )
        items.append((edge, AdapterSpec.of(spec.kind, **dict(spec.options) | {"r": factor * rank})))
    return replace(placement, items=tuple(items))


def _initialise(adapters: nn.Module, generator: torch.Generator) -> None:
    """Draw matrices and zero scales from N(0, 0.02), set biases to zero; other vectors stay.

    A matrix whose output is scaled by zero would have no gradient to be scored by.
    """
    with torch.no_grad():
        for name, parameter in adapters.named_parameters():
            if _is_bias(name, parameter):
                parameter.zero_()
            elif parameter.ndim > 1 or not parameter.any():
                drawn = torch.randn(parameter.shape, generator=generator) * STANDARD_DEVIATION
                parameter.copy_(drawn)


def _check_not_zero(adapters: nn.Module, score: str) -> None:
    parameters = adapters.named_parameters()
    zero = next((name for name, p in parameters if not _is_bias(name, p) and not p.any()), None)
    if zero is not None:
        edge, _, name = zero.partition(".")
        raise ProcedureError(
            f"{name} of the adapter on {edge} starts at zero, so score={score} cannot tell weights "
            "apart; use init=normal, score=random or score=er"
        )


def _is_bias(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim == 1 and name.endswith(("bias", ".b"))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
