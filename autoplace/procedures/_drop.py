"""AdapterDrop (Rücklé et al. 2021, arXiv 2010.11918): no adapters in the first n blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from autoplace.adapters import count_parameters
from autoplace.backbones import BackboneShape, ResidualChain
from autoplace.model import AdaptedModel, Schedule, Trainable
from autoplace.placement import Placement
from autoplace.procedures._base import Procedure, ProcedureConfig, ProcedureError, Refined
from autoplace.procedures._registry import register_procedure
from autoplace.procedures._trainer import Trainer


@dataclass(frozen=True)
class DropConfig(ProcedureConfig):
    """Options of dropping: one of the two.

    Parameters
    ----------
    blocks : int or None, default=None
        Train without the adapters of the first n blocks.
    robust : bool, default=False
        Train with a random n at each step: one model from which any number of blocks' adapters
        can be dropped.

    Examples
    --------
    >>> DropConfig(blocks=5).robust
    False
    >>> try:
    ...     DropConfig()
    ... except ProcedureError as error:
    ...     print(error)
    'drop' needs a number of blocks or robust: drop:blocks=5 or drop:robust
    """

    blocks: int | None = None
    robust: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.robust, bool):
            raise ProcedureError(f"robust={self.robust}: robust takes no value; write drop:robust")
        if (self.blocks is not None) == self.robust:
            raise ProcedureError(
                "'drop' needs a number of blocks or robust: drop:blocks=5 or drop:robust"
            )
        number = isinstance(self.blocks, int) and not isinstance(self.blocks, bool)
        if self.blocks is not None and (not number or self.blocks < 0):
            raise ProcedureError(f"blocks={self.blocks} must be a whole number of at least 0")


@register_procedure("drop")
class Drop(Procedure):
    """Train without the adapters of the first blocks, or so that they can be dropped later.

    An adapter belongs to the block that it adds to. With n dropped blocks, the frozen network runs
    up to block n, without autograd in training.

    Parameters
    ----------
    config : DropConfig
        Options.

    Notes
    -----
    In robust training, n is drawn at each step from 0 to L - 1, for a backbone of L blocks.
    Validation is with all adapters. `drop_adapters` drops them from the trained model.

    References
    ----------
    Rücklé et al. 2021, "AdapterDrop: On the Efficiency of Adapters in Transformers"
    (arXiv 2010.11918).

    Examples
    --------
    >>> from autoplace.procedures import parse_procedure
    >>> parse_procedure("drop:robust").config
    DropConfig(blocks=None, robust=True)
    """

    Config = DropConfig
    paper = "Rücklé et al. 2021, arXiv 2010.11918"
    config: DropConfig

    def check(self, placement: Placement, shape: BackboneShape) -> None:
        super().check(placement, shape)
        blocks = _blocks(shape)
        if self.config.blocks is not None and self.config.blocks > blocks:
            raise ProcedureError(
                f"blocks={self.config.blocks} is more than the {blocks} blocks of the "
                "backbone; lower it"
            )

    def run(self, trainer: Trainer) -> Refined:
        self.check(trainer.placement, trainer.task.chain.shape)
        return self._robust(trainer) if self.config.robust else self._specialised(trainer)

    def _specialised(self, trainer: Trainer) -> Refined:
        assert self.config.blocks is not None
        trainer = trainer.on(without_blocks(trainer.placement, self.config.blocks))
        model = trainer.fresh_model()
        outcome = trainer.train(model)
        chose = {"dropped": self.config.blocks, "placement": str(trainer.placement)}
        return Refined(model.eval(), outcome.parameters, outcome, chose)

    def _robust(self, trainer: Trainer) -> Refined:
        model = trainer.fresh_model()
        outcome = trainer.train(RandomlyDropped(model, trainer.trial.seed))
        parameters = count_parameters(trainer.placement, trainer.task.chain.shape)
        blocks = _blocks(trainer.task.chain.shape)
        return Refined(model.eval(), parameters, outcome, {"dropped": f"0..{blocks - 1}"})


class RandomlyDropped(Trainable):
    """A model of which each training step drops the adapters of a random number of blocks.

    Parameters
    ----------
    model : AdaptedModel
        Trained in place.
    seed : int
        Of the numbers.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> chain = create_chain("starter")
    >>> model = AdaptedModel(chain, Placement.parse("20>22"), ("cat", "dog"))
    >>> robust = RandomlyDropped(model, seed=0).eval()
    >>> frozen = {node: torch.randn(4, 17, 96) for node in robust.frozen_nodes}
    >>> torch.equal(robust.forward_suffix(frozen), model.forward_suffix(frozen))
    True
    """

    def __init__(self, model: AdaptedModel, seed: int) -> None:
        super().__init__()
        self.model = model
        self._schedules = [
            Schedule.suffix(without_blocks(model.placement, n), model.chain.n_nodes)
            for n in range(_blocks(model.chain.shape))
        ]
        self._generator = torch.Generator().manual_seed(seed)

    @property
    def frozen_nodes(self) -> tuple[int, ...]:
        return self.model.frozen_nodes

    def forward_suffix(self, frozen: Mapping[int, Tensor]) -> Tensor:
        blocks = len(self._schedules)
        drawn = int(torch.randint(blocks, (), generator=self._generator)) if self.training else 0
        return self.forward_without(frozen, drawn)

    def forward_without(self, frozen: Mapping[int, Tensor], blocks: int) -> Tensor:
        """Compute the logits (batch, classes) without the adapters of the first blocks.

        Parameters
        ----------
        frozen : mapping of int to Tensor of shape (batch, tokens, dim)
            The chain's values at `frozen_nodes`.
        blocks : int
            Number of blocks, less than all.
        """
        schedule = self._schedules[blocks]
        values = _frozen_further(self.model.chain, frozen, schedule.frozen_nodes)
        return self.model.run(schedule, values)


def without_blocks(placement: Placement, blocks: int) -> Placement:
    """Leave out the adapters that add to the first blocks, or to the embedding before them.

    Parameters
    ----------
    placement : Placement
        Edges with their adapters.
    blocks : int
        Number of blocks n. Block b computes nodes 2b + 1 and 2b + 2; with n = 0, all adapters stay.

    Examples
    --------
    >>> print(without_blocks(Placement.parse("0>5+7>3+8>9@bottleneck:r=8"), 2))
    0>5+8>9@bottleneck:r=8
    """
    kept = tuple(item for item in placement if not blocks or item[0].target > 2 * blocks)
    return replace(placement, items=kept)


def drop_adapters(model: AdaptedModel, blocks: int) -> AdaptedModel:
    """Return a model without the adapters of the first blocks, for faster inference.

    Parameters
    ----------
    model : AdaptedModel
        A trained model, best with `drop:robust`.
    blocks : int
        Number of blocks.

    Returns
    -------
    AdaptedModel
        Shares backbone, adapters and head with the given model.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> placement = Placement.parse("0>1+1>2+2>3+22>23@bottleneck:r=8")
    >>> model = AdaptedModel(create_chain("starter"), placement, ("cat", "dog"))
    >>> print(drop_adapters(model, 1).placement)
    2>3+22>23@bottleneck:r=8
    """
    placement = without_blocks(model.placement, blocks)
    with torch.device("meta"):  # draws no random numbers for what is replaced
        smaller = AdaptedModel(model.chain, placement, model.classes)
    smaller.adapters = nn.ModuleDict({str(edge): model.adapter(edge) for edge in placement.edges})
    smaller.head = model.head
    if hasattr(model, "transform"):
        smaller.transform = model.transform
    return smaller.train(model.training)


@torch.no_grad()
def _frozen_further(
    chain: ResidualChain, frozen: Mapping[int, Tensor], nodes: tuple[int, ...]
) -> dict[int, Tensor]:
    """Values of the frozen chain at nodes (sorted), from its values at some other nodes."""
    values = dict(frozen)
    for node in nodes:
        start = max(given for given in values if given <= node)
        hidden = values[start]
        for step in range(start + 1, node + 1):
            hidden = chain.step(step, hidden)
        values[node] = hidden
    return values


def _blocks(shape: BackboneShape) -> int:
    return shape.n_nodes // 2
