"""BitFit (Ben Zaken et al. 2021, arXiv 2106.10199): only the biases of a sub-layer change."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from autoplace.adapters._base import AdapterConfig, SubLayerAdapter
from autoplace.adapters._registry import register_adapter
from autoplace.adapters._sites import check_sites, output_widths, own_maps, own_sites
from autoplace.backbones import BackboneShape, Site, SubLayerMaps
from autoplace.placement import Edge


@register_adapter("bitfit")
class BitFit(SubLayerAdapter):
    """Adds a trained shift to the biases of the norm and the linear maps of a sub-layer.

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
    The shifts start at zero. A map without a bias gets one. The bias of the keys is trained and
    counted as well, although it changes no attention weight where queries and keys are compared as
    they are. A block has 11 dim parameters. The biases of the patch projection and of the final
    norm are not inside a sub-layer, so no edge covers them.

    References
    ----------
    Ben Zaken et al. 2021, "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based
    Masked Language-models" (arXiv 2106.10199).

    Examples
    --------
    >>> bitfit = BitFit(BitFit.Config(), BackboneShape.plain(dim=6), Edge(0, 1))
    >>> {name: tuple(p.shape) for name, p in bitfit.named_parameters()}
    {'bias.norm': (6,), 'bias.o': (6,), 'bias.qkv': (18,)}
    """

    paper = "Ben Zaken et al. 2021, arXiv 2106.10199"
    mergeable = True

    def __init__(self, config: AdapterConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        self.sites = own_sites(edge)
        widths = output_widths(self.sites, shape)
        self.bias = nn.ParameterDict({site: torch.zeros(width) for site, width in widths.items()})

    @classmethod
    def parameters_at(cls, config: AdapterConfig, shape: BackboneShape, edge: Edge) -> int:
        return sum(output_widths(own_sites(edge), shape).values())

    @classmethod
    def check(cls, config: AdapterConfig, shape: BackboneShape, edge: Edge) -> None:
        super().check(config, shape, edge)
        check_sites(own_sites(edge), shape, edge)

    @classmethod
    def maps_at(cls, config: AdapterConfig, edge: Edge) -> tuple[str, ...]:
        return own_maps(edge)

    def together(
        self, parameters: Mapping[str, Tensor], site: Site, given: Tensor, output: Tensor
    ) -> Tensor:
        return (output + parameters[f"bias.{site}"][:, None, None]).to(output.dtype)

    def fold(self, maps: SubLayerMaps) -> None:
        for site in self.sites:
            maps[site] = maps[site].plus(bias=self.bias[site])
