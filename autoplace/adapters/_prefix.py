"""Prefix tuning (Li and Liang 2021, arXiv 2101.00190): learned keys and values in attention."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from autoplace.adapters._base import SubLayerAdapter, sublayer_of
from autoplace.adapters._length import LengthConfig
from autoplace.adapters._registry import register_adapter
from autoplace.backbones import BackboneShape, Site, SubLayer
from autoplace.placement import Edge, PlacementError

# Standard deviation of new tables, as in UniPELT's code.
_SPREAD = 0.02


@register_adapter("prefix")
class Prefix(SubLayerAdapter):
    """Attention sees `length` more tokens, whose keys and values are learned.

    The table is trained directly, without the network that computes it in the paper. A new
    table changes the output a little: even keys of zero take a share of the softmax. If the
    backbone normalises its keys, it normalises these, too.

    Parameters
    ----------
    config : LengthConfig
        Options.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        A parallel edge that spans attention.

    References
    ----------
    Li and Liang 2021, "Prefix-Tuning: Optimizing Continuous Prompts for Generation"
    (arXiv 2101.00190); length and start as in Mao et al. 2022, "UniPELT" (arXiv 2110.07577).

    Examples
    --------
    >>> prefix = Prefix(Prefix.Config(), BackboneShape.plain(dim=6), Edge(0, 1))
    >>> {name: tuple(p.shape) for name, p in prefix.named_parameters()}
    {'table': (10, 12)}
    >>> Prefix.parameters_at(Prefix.Config(), BackboneShape.plain(768), Edge(0, 1)) * 12
    184320
    """

    Config = LengthConfig
    paper = "Li and Liang 2021, arXiv 2101.00190"

    def __init__(self, config: LengthConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        self.sites = (Site.KV,)
        self.extra_tokens = config.length
        self.table = new_table(config.length, shape)

    @classmethod
    def parameters_at(cls, config: LengthConfig, shape: BackboneShape, edge: Edge) -> int:
        return config.length * 2 * shape.attention

    @classmethod
    def check(cls, config: LengthConfig, shape: BackboneShape, edge: Edge) -> None:
        super().check(config, shape, edge)
        if sublayer_of(edge) is not SubLayer.ATTENTION:
            raise PlacementError(
                f"edge {edge} spans an MLP, which has no keys and values; "
                f"use an edge that spans attention, such as {edge.source - 1}>{edge.source}"
            )
        check_extra_tokens(shape)

    @classmethod
    def maps_at(cls, config: LengthConfig, edge: Edge) -> tuple[str, ...]:
        return Site.KV.maps

    def together(
        self, parameters: Mapping[str, Tensor], site: Site, given: Tensor, output: Tensor
    ) -> Tensor:
        return parameters["table"][:, None].to(output.dtype).expand_as(output)


def new_table(length: int, shape: BackboneShape) -> nn.Parameter:
    """Create keys and values (length, 2 * attention) of extra tokens, drawn from N(0, 0.02)."""
    return nn.Parameter(torch.randn(length, 2 * shape.attention) * _SPREAD)


def check_extra_tokens(shape: BackboneShape) -> None:
    """Refuse a backbone whose attention cannot have tokens without a position."""
    if not shape.extra_tokens:
        raise PlacementError(
            "attention of this backbone has rotary or relative positions, which learned tokens "
            "do not have; use another kind, such as lora"
        )
