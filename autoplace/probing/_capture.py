"""One forward and one backward pass: activations and cotangents at every node."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autoplace.backbones import ResidualChain


@dataclass
class Captured:
    """Images after their forward pass, with its graph.

    hidden: n tensors (batch, tokens, dim), the stream at every node; features: (batch, features).
    """

    hidden: list[Tensor]
    features: Tensor

    def cotangents(self, loss: Tensor) -> list[Tensor]:
        """D_j = d loss / d h_j at every node, shaped like `hidden`; frees the graph."""
        return list(torch.autograd.grad(loss, self.hidden))


def capture(chain: ResidualChain, images: Tensor) -> Captured:
    """Run the frozen chain on images (batch, 3, height, width), keeping the graph.

    At zero every adapter is silent, so this one pass stands for all placements, recurrent ones
    too (pass T equals pass 1).
    """
    with torch.enable_grad():
        hidden = [chain.embed(images).detach().requires_grad_()]
        for node in range(1, chain.n_nodes):
            hidden.append(chain.step(node, hidden[-1]))
        return Captured(hidden, chain.features(hidden[-1]))
