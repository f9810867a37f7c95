"""LN-Tune (Basu et al. 2023, arXiv 2304.01917): only the weights of a sub-layer's norm change."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from autoplace.adapters._base import AdapterConfig, SubLayerAdapter
from autoplace.adapters._registry import register_adapter
from autoplace.backbones import BackboneShape, Site, SubLayerMaps
from autoplace.placement import Edge


@register_adapter("layernorm")
class LayerNorm(SubLayerAdapter):
    """Changes the weight and the bias of a sub-layer's norm; the changes start at zero.

    Parameters
    ----------
    config : AdapterConfig
        It has no options.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        A parallel edge.

    Notes
    -----
    A norm without a bias (RMSNorm) gets one. The final norm is not inside a sub-layer, so no edge
    covers it.

    References
    ----------
    Basu et al. 2023, "Strong Baselines for Parameter Efficient Few-Shot Fine-tuning"
    (arXiv 2304.01917).

    Examples
    --------
    >>> norm = LayerNorm(LayerNorm.Config(), BackboneShape.plain(dim=6), Edge(0, 1))
    >>> {name: tuple(p.shape) for name, p in norm.named_parameters()}
    {'weight': (6,), 'bias': (6,)}
    """

    paper = "Basu et al. 2023, arXiv 2304.01917"
    mergeable = True
    sites = (Site.NORM,)

    def __init__(self, config: AdapterConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        self.weight = nn.Parameter(torch.zeros(shape.dim))
        self.bias = nn.Parameter(torch.zeros(shape.dim))

    @classmethod
    def parameters_at(cls, config: AdapterConfig, shape: BackboneShape, edge: Edge) -> int:
        return 2 * shape.dim

    @classmethod
    def maps_at(cls, config: AdapterConfig, edge: Edge) -> tuple[str, ...]:
        return Site.NORM.maps

    def together(
        self, parameters: Mapping[str, Tensor], site: Site, given: Tensor, output: Tensor
    ) -> Tensor:
        return change_norm(parameters["weight"], parameters["bias"], given, output)

    def fold(self, maps: SubLayerMaps) -> None:
        maps[Site.NORM] = maps[Site.NORM].plus(self.weight, self.bias)


def change_norm(weight: Tensor, bias: Tensor, given: Tensor, output: Tensor) -> Tensor:
    """Add to the weights (adapters, dim) and the biases (adapters, dim) of a norm.

    Parameters
    ----------
    weight, bias : Tensor of shape (adapters, dim)
        What is added.
    given, output : Tensor of shape (adapters, batch, tokens, dim)
        The normalised stream before and after the norm's own weights.

    Returns
    -------
    Tensor of shape (adapters, batch, tokens, dim)
        The changed output.
    """
    change = given * weight[:, None, None] + bias[:, None, None]
    return (output + change).to(output.dtype)
