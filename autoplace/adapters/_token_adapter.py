"""TokenAdapter: the base class of adapter kinds that put tokens into the stream."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from autoplace.adapters._base import Adapter, own_parameters
from autoplace.backbones import BackboneShape
from autoplace.placement import Edge, EdgeKind, PlacementError


class TokenAdapter(Adapter):
    """Base class of kinds that put tokens into the stream at node 0, in every pass.

    All later nodes have these tokens as well. They stand in front of the tokens of the image, which
    stay the last ones, and are taken out of the last node before it is pooled. Such a kind is on
    the sequential edge 0>0.

    Attributes
    ----------
    position, length : int
        Tokens of the stream in front of those that are put in, and number of these; set by the
        constructor.

    Examples
    --------
    >>> import torch
    >>> from autoplace.adapters import Prompt
    >>> prompt = Prompt(Prompt.Config(length=3), BackboneShape.plain(dim=6), Edge(0, 0))
    >>> hidden = torch.randn(2, 5, 6)
    >>> prompt(hidden).shape
    torch.Size([2, 8, 6])
    >>> torch.equal(prompt.remove(prompt(hidden)), hidden)
    True
    """

    edge_kinds = frozenset({EdgeKind.SEQUENTIAL})
    position: int
    length: int

    @classmethod
    def check(cls, config: Any, shape: BackboneShape, edge: Edge) -> None:
        super().check(config, shape, edge)
        if edge.target:
            raise PlacementError(
                f"edge {edge} is inside the network, but tokens are put in at its start; use 0>0"
            )

    @abstractmethod
    def together(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        """Put in the tokens of several adapters of this kind and these options.

        Parameters
        ----------
        parameters : mapping of str to Tensor of shape (adapters, ...)
            Stacked parameters, named as in `named_parameters`; the module's own parameters
            are not used.
        hidden : Tensor of shape (adapters, batch, tokens, dim)
            Node 0.

        Returns
        -------
        Tensor of shape (adapters, batch, tokens + length, dim)
            Node 0 with these tokens.
        """

    def forward(self, hidden: Tensor) -> Tensor:
        """Put tokens into node 0: (batch, tokens, dim) to (batch, tokens + length, dim)."""
        return self.together(own_parameters(self), hidden[None])[0]

    def remove(self, hidden: Tensor) -> Tensor:
        """Take the tokens out: (batch, tokens + length, dim) to (batch, tokens, dim)."""
        parts = hidden[:, : self.position], hidden[:, self.position + self.length :]
        return torch.cat(parts, dim=1)
