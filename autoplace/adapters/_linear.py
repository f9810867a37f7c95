"""Low-rank linear adapter: the product of LoRA (arXiv 2106.09685) on the residual stream."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from autoplace.adapters._base import Adapter, AdapterConfig, normalise
from autoplace.adapters._registry import register_adapter


@register_adapter("linear")
class Linear(Adapter):
    """Adapter that computes `up(down(norm(x)))` without biases.

    This is the linear map that the probe scores, limited to rank r. `up` starts at zero.

    Parameters
    ----------
    config : AdapterConfig
        Options: the rank `r`.
    dim : int
        Width of the residual stream.

    References
    ----------
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv 2106.09685).

    Examples
    --------
    >>> adapter = Linear(Linear.Config(r=2), dim=6)
    >>> {name: tuple(p.shape) for name, p in adapter.named_parameters()}
    {'down.weight': (2, 6), 'up.weight': (6, 2)}
    >>> Linear.parameters_at(rank=2, dim=6)
    24
    """

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
