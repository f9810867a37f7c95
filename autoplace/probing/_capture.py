"""One forward and one backward pass: activations and cotangents at every node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from autoplace.backbones import ResidualChain


@dataclass
class Captured:
    """The result of a forward pass, with its autograd graph.

    Parameters
    ----------
    hidden : list of Tensor of shape (batch, tokens, dim)
        The stream at each node.
    features : Tensor of shape (batch, features)
        Pooled features.

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> captured = capture(create_chain("starter"), torch.randn(2, 3, 32, 32))
    >>> len(captured.hidden), captured.features.shape
    (25, torch.Size([2, 96]))
    >>> cotangents = captured.cotangents(captured.features.square().sum())
    >>> cotangents[7].shape == captured.hidden[7].shape
    True
    """

    hidden: list[Tensor]
    features: Tensor

    def cotangents(self, loss: Tensor) -> list[Tensor]:
        """Compute D_j = d loss / d h_j at each node, shaped like `hidden`; frees the graph."""
        return list(torch.autograd.grad(loss, self.hidden))


def capture(
    chain: ResidualChain, images: Tensor, step: Callable[[int, Tensor], Tensor] | None = None
) -> Captured:
    """Run a frozen chain forward and keep the autograd graph.

    New adapters output 0, so this one pass is that of every placement, also of a recurrent one,
    whose last pass equals the first.

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone.
    images : Tensor of shape (batch, 3, height, width)
        Transformed images.
    step : callable, optional
        Computes node k from k and node k - 1, in place of `chain.step`.

    Returns
    -------
    Captured
        Values of all nodes, and features.

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> captured = capture(create_chain("starter"), torch.randn(2, 3, 32, 32))
    >>> captured.hidden[0].shape
    torch.Size([2, 17, 96])
    """
    step = step or chain.step
    with torch.enable_grad():
        hidden = [chain.embed(images).detach().requires_grad_()]
        for node in range(1, chain.n_nodes):
            hidden.append(step(node, hidden[-1]))
        return Captured(hidden, chain.features(hidden[-1]))
