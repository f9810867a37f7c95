"""Adapter+ (Steitz and Roth 2024, arXiv 2406.06820): no norm, and a scale for each channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoplace.adapters._base import RankConfig, StreamAdapter
from autoplace.adapters._batched import batched_linear
from autoplace.adapters._drop import Drop, check_rate
from autoplace.adapters._registry import register_adapter
from autoplace.backbones import BackboneShape
from autoplace.placement import Edge

_SPREAD = 0.01  # standard deviation of both matrices at the start


@dataclass(frozen=True)
class AdapterPlusConfig(RankConfig):
    """Options of Adapter+.

    Parameters
    ----------
    r : int, default=8
        Rank: the width of the hidden layer.
    drop : float, default=0
        Drop path: in training, the chance that nothing is added for a sample. The paper uses 0.1.

    Examples
    --------
    >>> AdapterPlusConfig(drop=0.1)
    AdapterPlusConfig(r=8, drop=0.1)
    """

    drop: float = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate("drop", self.drop)


@register_adapter("adapter-plus")
class AdapterPlus(StreamAdapter):
    """Adds `gamma ⊙ up(gelu(down(x)))`, where gamma is a learnt scale for each channel.

    It reads the stream without a norm. Both matrices start at small random values, so a new
    adapter changes the output a little.

    Parameters
    ----------
    config : AdapterPlusConfig
        Options.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        Any edge; the paper has it after each block.

    References
    ----------
    Steitz and Roth 2024, "Adapters Strike Back" (arXiv 2406.06820).

    Examples
    --------
    >>> adapter = AdapterPlus(AdapterPlus.Config(r=2), BackboneShape.plain(dim=6), Edge(2, 2))
    >>> for name, parameter in adapter.named_parameters():
    ...     print(name, tuple(parameter.shape))
    gamma (6,)
    down.weight (2, 6)
    down.bias (2,)
    up.weight (6, 2)
    up.bias (6,)
    >>> AdapterPlus.parameters_at(AdapterPlus.Config(), BackboneShape.plain(768), Edge(2, 2)) * 12
    165984
    """

    Config = AdapterPlusConfig
    paper = "Steitz and Roth 2024, arXiv 2406.06820"

    def __init__(self, config: AdapterPlusConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        self.down = nn.Linear(shape.dim, config.r)
        self.up = nn.Linear(config.r, shape.dim)
        self.gamma = nn.Parameter(torch.ones(shape.dim))
        self.drop = Drop(config.drop, by_sample=True)
        for layer in (self.down, self.up):
            nn.init.trunc_normal_(layer.weight, std=_SPREAD, a=-2 * _SPREAD, b=2 * _SPREAD)
            nn.init.zeros_(layer.bias)

    @classmethod
    def parameters_at(cls, config: AdapterPlusConfig, shape: BackboneShape, edge: Edge) -> int:
        return config.r * (2 * shape.dim + 1) + 2 * shape.dim

    def together(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        narrow = functional.gelu(batched_linear(parameters, "down", hidden.flatten(1, 2)))
        added = batched_linear(parameters, "up", narrow) * parameters["gamma"][:, None]
        kept: Tensor = self.drop(added.view_as(hidden))
        return kept
