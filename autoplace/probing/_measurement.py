"""What the probe gathers, micro-batch by micro-batch, pass by pass."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from autoplace.adapters import normalise
from autoplace.backbones import ResidualChain
from autoplace.data import Batch
from autoplace.model import LinearHead
from autoplace.probing._capture import Captured, capture
from autoplace.probing._gradients import GradientSum, gradient_products
from autoplace.probing._head_loss import HeldOutLoss
from autoplace.probing._sketch import Sketch
from autoplace.probing._tables import NodeSums


class Measurement:
    """Gradients of all edges and sums of all nodes, over the micro-batches added so far.

    Everything is of the loss summed over images. The sketch is chosen from the first pass and
    holds for all that follow.

    Parameters
    ----------
    width
        Of the sketch, for wider streams; 0 means never to sketch.
    """

    def __init__(self, chain: ResidualChain, width: int, seed: int) -> None:
        self.chain = chain
        self._width = width
        self._seed = seed
        self._sketch: Sketch | None = None if 0 < width < chain.dim else Sketch()
        self.gradients = GradientSum()
        self.nodes = NodeSums(chain.n_nodes)
        self.loss = HeldOutLoss()

    @property
    def sketch(self) -> Sketch:
        """How the products are seen."""
        assert self._sketch is not None, "nothing was measured"
        return self._sketch

    def add(self, passes: Iterable[Batch], head: LinearHead) -> tuple[Tensor, Tensor]:
        """Measure one micro-batch under a head that was fitted on other images.

        passes: as many images at once as memory allows. Returns the features of all of them
        (rows, features) and their labels (rows,).
        """
        like = next(self.chain.parameters())
        total: Tensor | None = None
        features, labels = [], []
        for batch in passes:
            captured = capture(self.chain, batch.images.to(like))
            loss = self.loss(head, captured.features, batch.labels)
            features.append(captured.features.detach())
            labels.append(batch.labels)
            products = self.products(captured, captured.cotangents(loss), batch.labels)
            total = products if total is None else total.add_(products)
        if total is None:  # none of its images could be read
            return like.new_empty(0, self.chain.num_features), torch.empty(0, dtype=torch.int64)
        self.gradients.add(total)
        return torch.cat(features), torch.cat(labels)

    @torch.no_grad()
    def products(self, captured: Captured, cotangents: list[Tensor], labels: Tensor) -> Tensor:
        """(n, n, k, l), the sketched gradients of one pass; uses up what was captured."""
        hidden = captured.hidden
        if self._sketch is None:
            self._sketch = Sketch.fit(
                (normalise(each.detach()).flatten(0, 1) for each in hidden),
                [each.flatten(0, 1) for each in cotangents],
                self._width,
                self._seed,
            )
        sketch = self._sketch
        self.nodes.begin(labels, hidden[0])
        sources, targets = sketch.room_for(hidden)
        while hidden:  # off the lists, so that memory goes as soon as it has been used
            node, cotangent = len(hidden) - 1, cotangents.pop()
            normalised = normalise(hidden[-1].detach())
            self.nodes.add(node, hidden.pop().detach(), cotangent, normalised)
            sources[:, node] = sketch.source(node, normalised.flatten(0, 1))
            targets[:, node] = sketch.cotangent(node, cotangent.flatten(0, 1))
        return gradient_products(sources.transpose(0, 1), targets.transpose(0, 1))
