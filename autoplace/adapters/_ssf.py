"""SSF (Lian et al. 2022, arXiv 2210.08823): scale and shift after the norm and every linear map."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from autoplace.adapters._base import AdapterConfig, SubLayerAdapter
from autoplace.adapters._registry import register_adapter
from autoplace.adapters._sites import check_sites, output_widths, own_maps, own_sites
from autoplace.backbones import BackboneShape, Site, SubLayerMaps
from autoplace.placement import Edge

# Standard deviation of the initial scales and shifts, as in the authors' code.
_STD = 0.02


@register_adapter("ssf")
class Ssf(SubLayerAdapter):
    """Computes `gamma * y + beta` on what the norm and each linear map of a sub-layer give.

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
    `gamma` starts at N(1, 0.02) and `beta` at N(0, 0.02), so a new adapter changes the output a
    little. A block has 22 dim parameters. The published system has 4 dim more, after the patch
    projection and the final norm: these are not inside a sub-layer, so no edge covers them.

    References
    ----------
    Lian et al. 2022, "Scaling & Shifting Your Features: A New Baseline for Efficient Model Tuning"
    (arXiv 2210.08823).

    Examples
    --------
    >>> ssf = Ssf(Ssf.Config(), BackboneShape.plain(dim=6), Edge(1, 2))
    >>> {name: tuple(p.shape) for name, p in ssf.gamma.named_parameters()}
    {'fc1': (24,), 'fc2': (6,), 'norm': (6,)}
    >>> shape = BackboneShape.plain(dim=768)
    >>> sum(Ssf.parameters_at(Ssf.Config(), shape, edge) for edge in (Edge(0, 1), Edge(1, 2))) / 768
    22.0
    """

    paper = "Lian et al. 2022, arXiv 2210.08823"
    mergeable = True

    def __init__(self, config: AdapterConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        self.sites = own_sites(edge)
        widths = output_widths(self.sites, shape)
        self.gamma = nn.ParameterDict(
            {site: torch.empty(width).normal_(1, _STD) for site, width in widths.items()}
        )
        self.beta = nn.ParameterDict(
            {site: torch.empty(width).normal_(0, _STD) for site, width in widths.items()}
        )

    @classmethod
    def parameters_at(cls, config: AdapterConfig, shape: BackboneShape, edge: Edge) -> int:
        return 2 * sum(output_widths(own_sites(edge), shape).values())

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
        gamma, beta = (parameters[f"{name}.{site}"][:, None, None] for name in ("gamma", "beta"))
        return (output * gamma + beta).to(output.dtype)

    def fold(self, maps: SubLayerMaps) -> None:
        for site in self.sites:
            maps[site] = maps[site].scaled(self.gamma[site]).plus(bias=self.beta[site])
