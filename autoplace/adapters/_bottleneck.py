"""Bottleneck adapter (Houlsby et al. 2019, arXiv 1902.00751) on a norm without weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoplace.adapters._base import RankConfig, StreamAdapter, normalise
from autoplace.adapters._registry import register_adapter
from autoplace.backbones import BackboneShape
from autoplace.placement import Edge


@register_adapter("bottleneck")
class Bottleneck(StreamAdapter):
    """Adapter that computes `up(gelu(down(norm(x))))`; the default kind.

    `up` starts at zero and has no bias, so the number of parameters is proportional to the rank
    and placements of different sizes can share one budget exactly.

    Parameters
    ----------
    config : RankConfig
        Options: the rank `r`.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        Any edge.

    References
    ----------
    Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP" (arXiv 1902.00751).

    Examples
    --------
    >>> adapter = Bottleneck(Bottleneck.Config(r=2), BackboneShape.plain(dim=6), Edge(0, 5))
    >>> {name: tuple(p.shape) for name, p in adapter.named_parameters()}
    {'down.weight': (2, 6), 'down.bias': (2,), 'up.weight': (6, 2)}
    >>> Bottleneck.parameters_at(Bottleneck.Config(r=2), BackboneShape.plain(dim=6), Edge(0, 5))
    26
    """

    Config = RankConfig
    paper = "Houlsby et al. 2019, arXiv 1902.00751"

    def __init__(self, config: RankConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        dim = shape.dim
        self.down = nn.Linear(dim, config.r)
        self.up = nn.Linear(config.r, dim, bias=False)
        nn.init.zeros_(self.up.weight)

    @classmethod
    def parameters_at(cls, config: RankConfig, shape: BackboneShape, edge: Edge) -> int:
        return config.r * (2 * shape.dim + 1)

    def together(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        rows = normalise(hidden).flatten(1, 2)
        bias = parameters["down.bias"][:, None]
        narrow = functional.gelu(torch.baddbmm(bias, rows, parameters["down.weight"].mT))
        return (narrow @ parameters["up.weight"].mT).view_as(hidden)
