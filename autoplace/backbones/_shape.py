"""What an adapter has to know of a backbone: widths, depth and the grid of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from torch import nn


class SubLayer(StrEnum):
    """The two sub-layers of a block.

    Examples
    --------
    >>> SubLayer.before(node=1).value, SubLayer.before(node=2).value
    ('attention', 'mlp')
    """

    ATTENTION = "attention"
    MLP = "mlp"

    @classmethod
    def before(cls, node: int) -> Self:
        """Return the sub-layer that computes a node from the one before it; `node` >= 1."""
        return cls("attention" if node % 2 else "mlp")


class Site(StrEnum):
    """A point inside a sub-layer where an adapter can change what is computed.

    At each point there are an input and an output, (batch, tokens, width):

    - `norm`: the normalised stream before and after the weights of the norm;
    - `qkv`: what attention reads; queries, keys and values side by side;
    - `kv`: what attention reads; keys and values of extra tokens, (batch, extra, 2 * width);
    - `o`: the mix of values; what attention adds to the stream;
    - `fc1`: what the MLP reads; its hidden layer before the activation;
    - `fc2`: the hidden layer after the activation; what the MLP adds to the stream.

    Examples
    --------
    >>> [site.value for site in Site.of(SubLayer.MLP)]
    ['norm', 'fc1', 'fc2']
    """

    NORM = "norm"
    QKV = "qkv"
    KV = "kv"
    O = "o"  # noqa: E741
    FC1 = "fc1"
    FC2 = "fc2"

    @classmethod
    def of(cls, sublayer: SubLayer) -> tuple[Self, ...]:
        """List the sites of a sub-layer in the order of computation."""
        names = {
            SubLayer.ATTENTION: ("norm", "qkv", "kv", "o"),
            SubLayer.MLP: ("norm", "fc1", "fc2"),
        }
        return tuple(cls(name) for name in names[sublayer])

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of the maps at the site: `q`, `k` and `v`; at other sites its own name.

        Examples
        --------
        >>> Site.QKV.maps, Site.FC1.maps
        (('q', 'k', 'v'), ('fc1',))
        """
        return ("q", "k", "v") if self is Site.QKV else (self.value,)


@dataclass(frozen=True)
class BackboneShape:
    """Sizes of a backbone; all its blocks are alike.

    Parameters
    ----------
    dim : int
        Width of the residual stream.
    n_nodes : int
        Number of nodes.
    attention : int
        Width of the queries, of the keys and of the values.
    heads : int
        Attention heads.
    fc1, fc2 : int or None
        Width of the MLP's hidden layer before and after its activation; None if the MLP has no
        such layer.
    prefix_tokens : int
        Tokens in front of those of the image, such as a class token.
    grid : tuple of (int, int) or None
        Rows and columns of the image's tokens; None if they are not a rectangle.
    extra_tokens : bool
        Whether attention works with more keys than queries; not with relative or rotary positions.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> shape = create_chain("starter").shape
    >>> shape.dim, shape.fc1, shape.heads, shape.prefix_tokens, shape.grid
    (96, 384, 3, 1, (4, 4))
    >>> shape.width_at(Site.QKV)
    (96, 288)
    """

    dim: int
    n_nodes: int
    attention: int
    heads: int
    fc1: int | None
    fc2: int | None
    prefix_tokens: int
    grid: tuple[int, int] | None
    extra_tokens: bool = True

    @classmethod
    def plain(
        cls, dim: int, n_nodes: int = 25, grid: tuple[int, int] | None = (14, 14), heads: int = 1
    ) -> Self:
        """Shape of a plain ViT with one class token and an MLP of four times its width.

        Examples
        --------
        >>> BackboneShape.plain(768).fc1
        3072
        """
        return cls(dim, n_nodes, dim, heads, 4 * dim, 4 * dim, 1, grid)

    @classmethod
    def of(cls, model: Any, dim: int, n_nodes: int, tokens: int, positions: bool) -> Self:
        """Read the shape of a timm model.

        Parameters
        ----------
        model : Module
            A timm model with blocks of attention and MLP.
        dim, n_nodes, tokens : int
            Width, nodes and tokens of its stream.
        positions : bool
            Whether attention itself handles positions.
        """
        block = model.blocks[0]
        projection = block.attn.proj
        fc1, fc2 = (getattr(block.mlp, name, None) for name in ("fc1", "fc2"))
        prefix = int(getattr(model, "num_prefix_tokens", 0))
        grid: Any = getattr(getattr(model, "patch_embed", None), "grid_size", None)
        rectangle = grid is not None and grid[0] * grid[1] == tokens - prefix
        return cls(
            dim=dim,
            n_nodes=n_nodes,
            attention=projection.in_features,
            heads=int(block.attn.num_heads),
            fc1=fc1.out_features if isinstance(fc1, nn.Linear) else None,
            fc2=fc2.in_features if isinstance(fc2, nn.Linear) else None,
            prefix_tokens=prefix,
            grid=(int(grid[0]), int(grid[1])) if rectangle else None,
            extra_tokens=not positions,
        )

    def width_at(self, site: Site) -> tuple[int, int] | None:
        """Return the widths of input and output at a site; None if the backbone lacks it."""
        match site:
            case Site.QKV:
                return self.dim, 3 * self.attention
            case Site.KV:
                return (self.dim, 2 * self.attention) if self.extra_tokens else None
            case Site.O:
                return self.attention, self.dim
            case Site.FC1:
                return None if self.fc1 is None else (self.dim, self.fc1)
            case Site.FC2:
                return None if self.fc2 is None else (self.fc2, self.dim)
            case _:
                return self.dim, self.dim
