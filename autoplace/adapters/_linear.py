"""Low-rank linear adapter: LoRA's product (arXiv 2106.09685) on an edge of the residual stream."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from autoplace.adapters._base import Adapter, AdapterConfig, normalise
from autoplace.adapters._registry import register_adapter


@register_adapter("linear")
class Linear(Adapter):
    """`up(down(norm(x)))` without biases: the linear map that the probe scores, at rank r."""

    def __init__(self, config: AdapterConfig, dim: int) -> None:
        super().__init__(config, dim)
        self.down = nn.Linear(dim, config.r, bias=False)
        self.up = nn.Linear(config.r, dim, bias=False)
        nn.init.zeros_(self.up.weight)

    @staticmethod
    def parameters_at(rank: int, dim: int) -> int:
        return rank * 2 * dim

    def together(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        narrow = normalise(hidden).flatten(1, 2) @ parameters["down.weight"].mT
        return (narrow @ parameters["up.weight"].mT).view_as(hidden)
