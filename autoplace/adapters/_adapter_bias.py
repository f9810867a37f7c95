"""AdapterBias (Fu et al. 2022, arXiv 2205.00305): a shift whose size depends on the token."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoplace.adapters._base import AdapterConfig, SubLayerAdapter, sublayer_of
from autoplace.adapters._layer_norm import change_norm
from autoplace.adapters._registry import register_adapter
from autoplace.adapters._sites import check_sites
from autoplace.backbones import BackboneShape, Site, SubLayer
from autoplace.placement import Edge, PlacementError

_NORMS = ("none", "norm2")


@dataclass(frozen=True)
class AdapterBiasConfig(AdapterConfig):
    """Options of AdapterBias.

    Parameters
    ----------
    train_ln : {"none", "norm2"}, default="none"
        Whether the norm in front of the MLP is trained as well. The published system trains the
        norm that follows the MLP in BERT; in a pre-norm ViT, this is the norm in front of the next
        sub-layer, for which kind `layernorm` can be on the next edge.

    Raises
    ------
    PlacementError
        If the value is not allowed.

    Examples
    --------
    >>> AdapterBiasConfig()
    AdapterBiasConfig(train_ln='none')
    """

    train_ln: str = "none"

    def __post_init__(self) -> None:
        if self.train_ln not in _NORMS:
            raise PlacementError(
                f"AdapterBias's train_ln={self.train_ln} must be {' or '.join(_NORMS)}"
            )


@register_adapter("adapterbias")
class AdapterBias(SubLayerAdapter):
    """Adds `(u w + beta) v` to the output of an MLP; u is its hidden layer after the activation.

    Parameters
    ----------
    config : AdapterBiasConfig
        Options.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        A parallel edge that spans an MLP.

    Notes
    -----
    The shift of every token is parallel to `v`, which starts at zero. `w` and `beta` start as in a
    linear map from the hidden layer to one number, and get no gradient before the first step. The
    published option to share them among blocks is not supported.

    References
    ----------
    Fu et al. 2022, "AdapterBias: Parameter-efficient Token-dependent Representation Shift for
    Adapters in NLP Tasks" (arXiv 2205.00305). Moving it from BERT to ViT is ours.

    Examples
    --------
    >>> adapter = AdapterBias(AdapterBias.Config(), BackboneShape.plain(dim=6), Edge(1, 2))
    >>> {name: tuple(p.shape) for name, p in adapter.named_parameters()}
    {'v': (6,), 'w': (24,), 'beta': (1,)}
    >>> AdapterBias.parameters_at(AdapterBias.Config(), BackboneShape.plain(768), Edge(1, 2)) * 12
    46092
    """

    Config = AdapterBiasConfig
    paper = "Fu et al. 2022, arXiv 2205.00305, moved to ViT"

    def __init__(self, config: AdapterBiasConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        hidden = _hidden(shape)
        bound = 1 / math.sqrt(hidden)
        self.v = nn.Parameter(torch.zeros(shape.dim))
        self.w = nn.Parameter(torch.empty(hidden).uniform_(-bound, bound))
        self.beta = nn.Parameter(torch.empty(1).uniform_(-bound, bound))
        self.sites = (Site.FC2,)
        if config.train_ln == "norm2":
            self.sites = (Site.NORM, Site.FC2)
            self.norm_weight = nn.Parameter(torch.zeros(shape.dim))
            self.norm_bias = nn.Parameter(torch.zeros(shape.dim))

    @classmethod
    def parameters_at(cls, config: AdapterBiasConfig, shape: BackboneShape, edge: Edge) -> int:
        norm = 2 * shape.dim if config.train_ln == "norm2" else 0
        return _hidden(shape) + 1 + shape.dim + norm

    @classmethod
    def check(cls, config: AdapterBiasConfig, shape: BackboneShape, edge: Edge) -> None:
        super().check(config, shape, edge)
        if sublayer_of(edge) is not SubLayer.MLP:
            raise PlacementError(
                f"edge {edge} spans an attention sub-layer, but AdapterBias works inside an MLP; "
                f"put it on an edge into an even node, such as {edge.target}>{edge.target + 1}"
            )
        check_sites([Site.FC2], shape, edge)

    @classmethod
    def maps_at(cls, config: AdapterBiasConfig, edge: Edge) -> tuple[str, ...]:
        return ("norm", "fc2") if config.train_ln == "norm2" else ("fc2",)

    def together(
        self, parameters: Mapping[str, Tensor], site: Site, given: Tensor, output: Tensor
    ) -> Tensor:
        if site is Site.NORM:
            weight, bias = parameters["norm_weight"], parameters["norm_bias"]
            return change_norm(weight, bias, given, output)
        size = given.flatten(1, 2) @ parameters["w"][..., None] + parameters["beta"][:, None]
        shift = size * parameters["v"][:, None]
        return (output + shift.view_as(output)).to(output.dtype)


def _hidden(shape: BackboneShape) -> int:
    widths = shape.width_at(Site.FC2)
    assert widths is not None, "fc2 was not checked"
    return widths[0]
