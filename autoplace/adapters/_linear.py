"""Low-rank linear adapter: the product of LoRA (arXiv 2106.09685) on the residual stream."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from autoplace.adapters._base import RankConfig, StreamAdapter, normalise
from autoplace.adapters._registry import register_adapter
from autoplace.backbones import BackboneShape
from autoplace.placement import Edge


@register_adapter("linear")
class Linear(StreamAdapter):
    """Adapter that computes `up(down(norm(x)))` without biases.

    This is the linear map that the probe scores, limited to rank r. `up` starts at zero.

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
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv 2106.09685).

    Examples
    --------
    >>> adapter = Linear(Linear.Config(r=2), BackboneShape.plain(dim=6), Edge(0, 5))
    >>> {name: tuple(p.shape) for name, p in adapter.named_parameters()}
    {'down.weight': (2, 6), 'up.weight': (6, 2)}
    >>> Linear.parameters_at(Linear.Config(r=2), BackboneShape.plain(dim=6), Edge(0, 5))
    24
    """

    Config = RankConfig
    paper = "Hu et al. 2021, arXiv 2106.09685, on the stream"

    def __init__(self, config: RankConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        dim = shape.dim
        self.down = nn.Linear(dim, config.r, bias=False)
        self.up = nn.Linear(config.r, dim, bias=False)
        nn.init.zeros_(self.up.weight)

    @classmethod
    def parameters_at(cls, config: RankConfig, shape: BackboneShape, edge: Edge) -> int:
        return config.r * 2 * shape.dim

    def together(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        narrow = normalise(hidden).flatten(1, 2) @ parameters["down.weight"].mT
        return (narrow @ parameters["up.weight"].mT).view_as(hidden)
