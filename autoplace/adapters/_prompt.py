"""Prompt tuning (Lester et al. 2021, arXiv 2104.08691): learned tokens in front of the image's."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from autoplace.adapters._length import LengthConfig
from autoplace.adapters._prefix import check_extra_tokens
from autoplace.adapters._registry import register_adapter
from autoplace.adapters._token_adapter import TokenAdapter
from autoplace.backbones import BackboneShape
from autoplace.placement import Edge


@register_adapter("prompt")
class Prompt(TokenAdapter):
    """Learned tokens between the class token and the tokens of the image, from node 0 on.

    They have no position, and are drawn from U(-0.5, 0.5), so a new prompt changes the output.
    With UniPELT on the parallel edges this is in the style of UniPELT with prompt tuning; its
    authors' own start and length could not be verified.

    Parameters
    ----------
    config : LengthConfig
        Options.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        The edge 0>0.

    References
    ----------
    Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning"
    (arXiv 2104.08691); with UniPELT: Chen et al. 2024 (arXiv 2405.05493).

    Examples
    --------
    >>> Prompt.parameters_at(Prompt.Config(), BackboneShape.plain(768), Edge(0, 0))
    7680
    """

    Config = LengthConfig
    paper = "Lester et al. 2021, arXiv 2104.08691"

    def __init__(self, config: LengthConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        self.position, self.length = shape.prefix_tokens, config.length
        self.prompt = nn.Parameter(torch.rand(config.length, shape.dim) - 0.5)

    @classmethod
    def parameters_at(cls, config: LengthConfig, shape: BackboneShape, edge: Edge) -> int:
        return config.length * shape.dim

    @classmethod
    def check(cls, config: LengthConfig, shape: BackboneShape, edge: Edge) -> None:
        super().check(config, shape, edge)
        check_extra_tokens(shape)

    def together(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        prompt = parameters["prompt"][:, None].to(hidden.dtype)
        before, after = hidden[:, :, : self.position], hidden[:, :, self.position :]
        return torch.cat([before, prompt.expand(-1, hidden.shape[1], -1, -1), after], dim=2)
