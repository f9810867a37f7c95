"""AdaptFormer (Chen et al. 2022, arXiv 2205.13535): a scaled ReLU bottleneck beside the MLP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from autoplace.adapters._base import StreamAdapter
from autoplace.adapters._batched import batched_linear
from autoplace.adapters._drop import Drop, check_rate
from autoplace.adapters._registry import register_adapter
from autoplace.adapters._scaled import ScaledConfig
from autoplace.backbones import BackboneShape
from autoplace.placement import Edge


@dataclass(frozen=True)
class AdaptFormerConfig(ScaledConfig):
    """Options of AdaptFormer.

    Parameters
    ----------
    r : int, default=8
        Rank: the width of the hidden layer. The paper uses 64.
    scale : float, default=0.1
        Factor on what the adapter adds.
    dropout : float, default=0
        In training, the chance that a value of the hidden layer is dropped. The paper uses 0.1.

    Examples
    --------
    >>> AdaptFormerConfig(r=4)
    AdaptFormerConfig(r=4, scale=0.1, dropout=0)
    """

    scale: float = 0.1
    dropout: float = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate("dropout", self.dropout)


@register_adapter("adaptformer")
class AdaptFormer(StreamAdapter):
    """Adds `scale · up(relu(down(x)))`; `up` starts at zero.

    It reads the stream without a norm, as the authors' code does; a figure of the paper's first
    version has one.

    Parameters
    ----------
    config : AdaptFormerConfig
        Options.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        Any edge; the paper has it beside each MLP.

    References
    ----------
    Chen et al. 2022, "AdaptFormer: Adapting Vision Transformers for Scalable Visual Recognition"
    (arXiv 2205.13535).

    Examples
    --------
    >>> adapter = AdaptFormer(AdaptFormer.Config(r=2), BackboneShape.plain(dim=6), Edge(1, 2))
    >>> for name, parameter in adapter.named_parameters():
    ...     print(name, tuple(parameter.shape))
    down.weight (2, 6)
    down.bias (2,)
    up.weight (6, 2)
    up.bias (6,)
    >>> AdaptFormer.parameters_at(AdaptFormer.Config(), BackboneShape.plain(768), Edge(1, 2)) * 12
    156768
    """

    Config = AdaptFormerConfig
    paper = "Chen et al. 2022, arXiv 2205.13535"

    def __init__(self, config: AdaptFormerConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        self._scale = config.scale
        self.down = nn.Linear(shape.dim, config.r)  # Kaiming-uniform, as in the paper
        self.up = nn.Linear(config.r, shape.dim)
        self.dropout = Drop(config.dropout)
        for tensor in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(tensor)

    @classmethod
    def parameters_at(cls, config: AdaptFormerConfig, shape: BackboneShape, edge: Edge) -> int:
        return config.r * (2 * shape.dim + 1) + shape.dim

    def together(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        narrow = functional.relu(batched_linear(parameters, "down", hidden.flatten(1, 2)))
        added = batched_linear(parameters, "up", self.dropout(narrow))
        return (self._scale * added).view_as(hidden)
