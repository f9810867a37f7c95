"""Tiny-Attention Adapter (Zhao et al. 2022, arXiv 2211.01979): attention of one narrow head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoplace.adapters._base import AdapterConfig, StreamAdapter, normalise
from autoplace.adapters._batched import batched_linear
from autoplace.adapters._registry import register_adapter
from autoplace.backbones import BackboneShape
from autoplace.placement import Edge, PlacementError

_START = 0.01  # factor on the last layer's initial values


@dataclass(frozen=True)
class TinyAttentionConfig(AdapterConfig):
    """Options of Tiny-Attention.

    Parameters
    ----------
    a : int, default=1
        Width of the queries, of the keys and of the values.
    heads : int, default=1
        Attention heads; they share the width.

    Raises
    ------
    PlacementError
        If a value is not a whole number of at least 1, or the heads do not divide the width.

    Examples
    --------
    >>> TinyAttentionConfig(a=4, heads=2)
    TinyAttentionConfig(a=4, heads=2)
    >>> try:
    ...     TinyAttentionConfig(heads=2)
    ... except PlacementError as error:
    ...     print(error)
    a=1 and heads=2 must be whole numbers of at least 1, and heads must divide a
    """

    a: int = 1
    heads: int = 1

    def __post_init__(self) -> None:
        whole = all(isinstance(value, int) and value >= 1 for value in (self.a, self.heads))
        if not whole or self.a % self.heads:
            raise PlacementError(
                f"a={self.a} and heads={self.heads} must be whole numbers of at least 1, and heads "
                "must divide a"
            )


@register_adapter("tiny-attention")
class TinyAttention(StreamAdapter):
    """Adds `up(attention(down(norm(x))))`, where attention mixes tokens at a very small width.

    The norm has weights of its own. The last layer starts at a hundredth of torch's default, so a
    new adapter changes the output a little. The paper's attention dropout is left out.

    Parameters
    ----------
    config : TinyAttentionConfig
        Options.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        Any edge; the paper has it after each attention.

    References
    ----------
    Zhao et al. 2022, "Tiny-Attention Adapter: Contexts Are More Important Than the Number of
    Parameters" (arXiv 2211.01979).

    Examples
    --------
    >>> adapter = TinyAttention(TinyAttention.Config(), BackboneShape.plain(dim=6), Edge(1, 1))
    >>> for name, parameter in adapter.named_parameters():
    ...     print(name, tuple(parameter.shape))
    norm.weight (6,)
    norm.bias (6,)
    down.weight (3, 6)
    down.bias (3,)
    attention.in_proj_weight (3, 1)
    attention.in_proj_bias (3,)
    attention.out_proj.weight (1, 1)
    attention.out_proj.bias (1,)
    up.weight (6, 1)
    up.bias (6,)
    >>> config, shape = TinyAttention.Config(), BackboneShape.plain(dim=768)
    >>> TinyAttention.parameters_at(config, shape, Edge(1, 1)) * 12
    64644
    """

    Config = TinyAttentionConfig
    paper = "Zhao et al. 2022, arXiv 2211.01979"

    def __init__(self, config: TinyAttentionConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        a = config.a
        self._heads = config.heads
        self.norm = nn.LayerNorm(shape.dim)
        self.down = nn.Linear(shape.dim, 3 * a)
        self.attention = nn.MultiheadAttention(a, config.heads)  # its weights, not its formula
        self.up = nn.Linear(a, shape.dim)
        with torch.no_grad():
            for parameter in self.up.parameters():
                parameter.mul_(_START)

    @classmethod
    def parameters_at(cls, config: TinyAttentionConfig, shape: BackboneShape, edge: Edge) -> int:
        a, dim = config.a, shape.dim
        inside = 3 * a * (a + 1) + a * (a + 1)
        return 2 * dim + 3 * a * (dim + 1) + inside + dim * (a + 1)

    def together(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        weight, bias = (parameters[f"norm.{name}"][:, None, None] for name in ("weight", "bias"))
        rows = (normalise(hidden) * weight + bias).flatten(1, 2)
        narrow = batched_linear(parameters, "down", rows).unflatten(1, hidden.shape[1:3])
        mixed = self._attend(parameters, narrow).flatten(1, 2)
        mixed = batched_linear(parameters, "attention.out_proj", mixed)
        return batched_linear(parameters, "up", mixed).view_as(hidden)

    def _attend(self, parameters: Mapping[str, Tensor], narrow: Tensor) -> Tensor:
        """Map (adapters, batch, tokens, 3 a), which holds queries, keys and values, to tokens."""
        weights = parameters["attention.in_proj_weight"].chunk(3, dim=1)
        biases = parameters["attention.in_proj_bias"].chunk(3, dim=1)
        queries, keys, values = (
            # As (adapters * batch, heads, tokens, width), the form that has fused kernels.
            (part @ weight[:, None].mT + bias[:, None, None])
            .unflatten(-1, (self._heads, -1))
            .flatten(0, 1)
            .transpose(1, 2)
            for part, weight, bias in zip(narrow.chunk(3, dim=-1), weights, biases, strict=True)
        )
        mixed: Tensor = functional.scaled_dot_product_attention(queries, keys, values)
        return mixed.transpose(1, 2).reshape(*narrow.shape[:3], -1)
