"""One forward and one backward pass: activations and cotangents at every node."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autoplace.backbones import ResidualChain


@dataclass
class Captured:
    """A micro-batch after its forward pass, with its graph.

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


def graph_bytes(chain: ResidualChain, images: Tensor) -> int:
    """Rough size of the graph of a forward pass, for deciding whether all of it can be kept.

    Frozen weights save no inputs of linear maps: about ten stream-sized tensors a block remain
    (two norms, q, k, v and the attention output, four of the MLP's hidden layer).
    """
    with torch.no_grad():
        tokens = chain.embed(images[:1]).shape[1]
    blocks = (chain.n_nodes - 1) // 2
    return 10 * blocks * len(images) * tokens * chain.dim * images.element_size()
