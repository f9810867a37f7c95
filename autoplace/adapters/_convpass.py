"""Convpass (Jie and Deng 2022, arXiv 2207.07039): a bottleneck with a convolution on the tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoplace.adapters._activation import quick_gelu
from autoplace.adapters._base import StreamAdapter, normalise
from autoplace.adapters._batched import batched_linear
from autoplace.adapters._registry import register_adapter
from autoplace.adapters._scaled import ScaledConfig
from autoplace.backbones import BackboneShape
from autoplace.placement import Edge, PlacementError

_STARTS = ("xavier", "identity")


@dataclass(frozen=True)
class ConvpassConfig(ScaledConfig):
    """Options of Convpass.

    Parameters
    ----------
    r : int, default=8
        Rank: the channels of the convolution.
    scale : float, default=1
        Factor on what the adapter adds. The paper chooses it for each data set, from 0.01 to 100.
    conv : {"xavier", "identity"}, default="xavier"
        How the convolution starts: at random weights, or as the identity.

    Raises
    ------
    PlacementError
        If a value is not allowed.

    Examples
    --------
    >>> ConvpassConfig(r=4, conv="identity")
    ConvpassConfig(r=4, scale=1, conv='identity')
    """

    conv: str = "xavier"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.conv not in _STARTS:
            raise PlacementError(f"conv={self.conv} must be {' or '.join(_STARTS)}")


@register_adapter("convpass")
class Convpass(StreamAdapter):
    """Adds `scale · up(act(conv(act(down(norm(x))))))` with a 3 by 3 convolution; `up` starts at 0.

    The convolution runs over the grid of the image's tokens. Each token in front of them, such as
    a class token, passes through it as an image of one pixel. The activation is QuickGELU. The
    paper's dropout and drop path are left out.

    Parameters
    ----------
    config : ConvpassConfig
        Options.
    shape : BackboneShape
        Sizes of the backbone; its image tokens form a rectangle.
    edge : Edge
        Any edge; the paper has it beside each sub-layer.

    References
    ----------
    Jie and Deng 2022, "Convolutional Bypasses Are Better Vision Transformer Adapters"
    (arXiv 2207.07039).

    Examples
    --------
    >>> shape = BackboneShape.plain(dim=6, grid=(2, 3))
    >>> adapter = Convpass(Convpass.Config(r=2), shape, Edge(0, 1))
    >>> for name, parameter in adapter.named_parameters():
    ...     print(name, tuple(parameter.shape))
    down.weight (2, 6)
    down.bias (2,)
    conv.weight (2, 2, 3, 3)
    conv.bias (2,)
    up.weight (6, 2)
    up.bias (6,)
    >>> adapter(torch.randn(4, 7, 6)).shape
    torch.Size([4, 7, 6])
    >>> Convpass.parameters_at(Convpass.Config(), BackboneShape.plain(768), Edge(0, 1)) * 24
    327552
    """

    Config = ConvpassConfig
    paper = "Jie and Deng 2022, arXiv 2207.07039"

    def __init__(self, config: ConvpassConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        assert shape.grid is not None, "the grid was not checked"
        self._scale = config.scale
        self._grid = shape.grid
        self.down = nn.Linear(shape.dim, config.r)
        self.conv = nn.Conv2d(config.r, config.r, kernel_size=3, padding=1)
        self.up = nn.Linear(config.r, shape.dim)
        nn.init.xavier_uniform_(self.down.weight)
        if config.conv == "identity":
            nn.init.dirac_(self.conv.weight)
        else:
            nn.init.xavier_uniform_(self.conv.weight)
        for tensor in (self.down.bias, self.conv.bias, self.up.weight, self.up.bias):
            assert tensor is not None
            nn.init.zeros_(tensor)

    @classmethod
    def parameters_at(cls, config: ConvpassConfig, shape: BackboneShape, edge: Edge) -> int:
        r, dim = config.r, shape.dim
        return (2 * r + 1) * dim + 9 * r**2 + 2 * r

    @classmethod
    def check(cls, config: ConvpassConfig, shape: BackboneShape, edge: Edge) -> None:
        super().check(config, shape, edge)
        if shape.grid is None:
            raise PlacementError(
                "the image tokens of this backbone are a token grid that is not a rectangle, so "
                "there is nothing to convolve; use another adapter kind, such as bottleneck"
            )

    def together(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        rows = normalise(hidden).flatten(1, 2)
        narrow = quick_gelu(batched_linear(parameters, "down", rows))
        mixed = quick_gelu(self._convolve(parameters, narrow.unflatten(1, hidden.shape[1:3])))
        added = batched_linear(parameters, "up", mixed.flatten(1, 2))
        return (self._scale * added).view_as(hidden)

    def _convolve(self, parameters: Mapping[str, Tensor], narrow: Tensor) -> Tensor:
        """Convolve the tokens (adapters, batch, tokens, r) of each image."""
        weight, bias = parameters["conv.weight"], parameters["conv.bias"]
        n_adapters, batch, tokens, r = narrow.shape
        rows, columns = self._grid
        prefix, patches = narrow.split([tokens - rows * columns, rows * columns], dim=2)
        # In an image of one pixel, only the centre of the kernel meets a token.
        centre = {"centre.weight": weight[..., 1, 1], "centre.bias": bias}
        alone = batched_linear(centre, "centre", prefix.flatten(1, 2))
        # A group of channels for each adapter.
        images = patches.permute(1, 0, 3, 2).reshape(batch, n_adapters * r, rows, columns)
        convolved = functional.conv2d(
            images, weight.flatten(0, 1), bias.flatten(), padding=1, groups=n_adapters
        )
        mixed = convolved.view(batch, n_adapters, r, -1).permute(1, 0, 3, 2)
        return torch.cat([alone.view_as(prefix), mixed], dim=2)
