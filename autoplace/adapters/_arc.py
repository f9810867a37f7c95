"""ARC (Dong et al. 2023, arXiv 2310.06234): shared projections, composed anew on each edge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoplace.adapters._base import RankConfig, SubLayerAdapter, sublayer_of
from autoplace.adapters._registry import register_adapter
from autoplace.backbones import BackboneError, BackboneShape, Site, SubLayer, SubLayerMaps
from autoplace.placement import Edge


@dataclass(frozen=True)
class ArcConfig(RankConfig):
    """Options of ARC.

    Parameters
    ----------
    r : int, default=50
        Rank: columns of the shared projection.

    Examples
    --------
    >>> ArcConfig()
    ArcConfig(r=50)
    """

    r: int = 50


@register_adapter("arc")
class Arc(SubLayerAdapter):
    """Computes `y + (y (u ⊙ c)) uᵀ + b` on what the norm of a sub-layer gives.

    The projection `u` (dim, r) is one tensor for all edges of a placement that span attention,
    and one for all that span MLPs. The scales `c` (r,) of its columns and the shift `b` (dim,)
    belong to an edge. There is no activation.

    Parameters
    ----------
    config : ArcConfig
        Options.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        A parallel edge.

    Notes
    -----
    In attention `c` starts at zero, so a new adapter changes nothing. In MLPs it starts Xavier
    uniform, as in the authors' code, and a new adapter changes the output. Their dropout (0.1)
    between the two products is left out.

    In backbones that normalise the output of a sub-layer, the adapter is at that norm, which is
    not where the paper has it; there it cannot be folded.

    References
    ----------
    Dong et al. 2023, "Efficient Adaptation of Large Vision Transformer via Adapter Re-Composing"
    (arXiv 2310.06234).

    Examples
    --------
    >>> shape = BackboneShape.plain(768)
    >>> arc = Arc(Arc.Config(), shape, Edge(0, 1))
    >>> {name: tuple(p.shape) for name, p in arc.named_parameters()}
    {'u': (768, 50), 'c': (50,), 'b': (768,)}
    >>> Arc.parameters_at(Arc.Config(), shape, Edge(0, 1))
    39218
    >>> Arc.shared_parameters_at(Arc.Config(), shape, Edge(0, 1))
    38400
    """

    Config = ArcConfig
    paper = "Dong et al. 2023, arXiv 2310.06234"
    mergeable = True
    shared = ("u",)

    def __init__(self, config: ArcConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        self.sites = (Site.NORM,)
        self.u = nn.Parameter(nn.init.xavier_uniform_(torch.empty(shape.dim, config.r)))
        self.c = nn.Parameter(torch.zeros(config.r))
        self.b = nn.Parameter(torch.zeros(shape.dim))
        if sublayer_of(edge) is SubLayer.MLP:
            bound = math.sqrt(6 / (1 + config.r))  # Xavier for one row
            nn.init.uniform_(self.c, -bound, bound)

    @classmethod
    def parameters_at(cls, config: ArcConfig, shape: BackboneShape, edge: Edge) -> int:
        return cls.shared_parameters_at(config, shape, edge) + config.r + shape.dim

    @classmethod
    def shared_parameters_at(cls, config: ArcConfig, shape: BackboneShape, edge: Edge) -> int:
        return shape.dim * config.r

    @classmethod
    def maps_at(cls, config: ArcConfig, edge: Edge) -> tuple[str, ...]:
        return Site.NORM.maps

    def together(
        self, parameters: Mapping[str, Tensor], site: Site, given: Tensor, output: Tensor
    ) -> Tensor:
        u, c, b = (parameters[name] for name in ("u", "c", "b"))
        narrow = output.flatten(1, 2) @ (u * c[:, None])
        added = torch.baddbmm(b[:, None], narrow, u.mT)
        return (output + added.view_as(output)).to(output.dtype)

    def fold(self, maps: SubLayerMaps) -> None:
        site = maps.after_norm
        if site is None:
            raise BackboneError(
                "ARC can only be folded where one linear map alone reads what the norm gives; "
                "keep this adapter as it is"
            )
        after = maps[site]
        change = (after.weight @ self.u * self.c) @ self.u.mT
        maps[site] = after.plus(weight=change, bias=after.weight @ self.b)
