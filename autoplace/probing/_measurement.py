"""Measurement: what the probe accumulates over micro-batches and passes."""

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
from autoplace.probing._sites import SiteSums
from autoplace.probing._sketch import Sketch
from autoplace.probing._tables import NodeSums

# Number of images in the pass that chooses the sketches of the maps. It is small, because that pass
# holds the inputs of all maps; later ones hold sketches (in a ViT-S, a quarter as wide or less).
PILOT = 8


class Measurement:
    """Gradients of all edges and maps and sums of all nodes, over the micro-batches so far.

    All values belong to the loss summed over images. The sketch of the nodes is chosen in the first
    pass and used in all others; those of the maps are chosen before, in a pass of a few images.

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone.
    width : int
        Width of the sketch; streams that are not wider, or a width of 0, are not sketched.
    seed : int
        Seed of the sketch.

    Attributes
    ----------
    gradients : GradientSum
        Gradients of the edges, as the sketch gives them.
    nodes : NodeSums
        Sums of the nodes.
    sites : SiteSums
        Gradients of the maps inside the sub-layers.
    loss : HeldOutLoss
        Loss and accuracy.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.data import Batch
    >>> from autoplace.model import LinearHead
    >>> measurement = Measurement(create_chain("fashion-vit8"), width=16, seed=0)
    >>> batch = Batch(torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 0, 1]), torch.arange(4))
    >>> head = LinearHead(np.random.default_rng(0).normal(size=(2, 64)), np.zeros(2))
    >>> features, labels = measurement.add([batch], head)
    >>> features.shape, measurement.gradients.total.shape
    (torch.Size([4, 64]), torch.Size([17, 17, 12, 24]))
    """

    def __init__(self, chain: ResidualChain, width: int, seed: int) -> None:
        self.chain = chain
        self._width = width
        self._seed = seed
        self._sketch: Sketch | None = None if 0 < width < chain.dim else Sketch()
        self.gradients = GradientSum()
        self.nodes = NodeSums(chain.n_nodes)
        self.sites = SiteSums(chain, width, seed)
        self.loss = HeldOutLoss()

    @property
    def sketch(self) -> Sketch:
        """The sketch; known after the first pass."""
        assert self._sketch is not None, "nothing was measured"
        return self._sketch

    def add(self, passes: Iterable[Batch], head: LinearHead) -> tuple[Tensor, Tensor]:
        """Measure one micro-batch with a head that was fitted on other images.

        Parameters
        ----------
        passes : iterable of Batch
            The images of the micro-batch, divided into batches that fit in memory.
        head : LinearHead
            The head.

        Returns
        -------
        features : Tensor of shape (rows, features)
            Features of all images of the micro-batch.
        labels : Tensor of shape (rows,)
            Their classes.
        """
        like = next(self.chain.parameters())
        total: Tensor | None = None
        features, labels = [], []
        for batch in passes:
            images = batch.images.to(like)
            if self._width and not self.sites.sketches:
                self._choose_site_sketches(images[:PILOT], batch.labels[:PILOT], head)
            captured = capture(self.chain, images, self.sites.step)
            loss = self.loss(head, captured.features, batch.labels)
            features.append(captured.features.detach())
            labels.append(batch.labels)
            products = self.products(captured, captured.cotangents(loss), batch.labels)
            total = products if total is None else total.add_(products)
        if total is None:  # no image of the micro-batch could be read
            return like.new_empty(0, self.chain.num_features), torch.empty(0, dtype=torch.int64)
        self.gradients.add(total)
        self.sites.end_micro_batch()
        return torch.cat(features), torch.cat(labels)

    def _choose_site_sketches(self, images: Tensor, labels: Tensor, head: LinearHead) -> None:
        pilot = SiteSums(self.chain, self._width, self._seed)
        captured = capture(self.chain, images, pilot.step)
        captured.cotangents(HeldOutLoss()(head, captured.features, labels))
        self.sites.sketches = pilot.sketches

    @torch.no_grad()
    def products(self, captured: Captured, cotangents: list[Tensor], labels: Tensor) -> Tensor:
        """Compute the sketched gradients (n, n, k, l) of one pass; empties the given lists."""
        hidden = captured.hidden
        if self._sketch is None:
            self._sketch = Sketch.fit(
                (normalise(h.detach()).flatten(0, 1) for h in hidden),
                [cotangent.flatten(0, 1) for cotangent in cotangents],
                self._width,
                self._seed,
            )
        sketch = self._sketch
        self.nodes.begin(labels, hidden[0])
        sources, targets = sketch.allocate(hidden)
        while hidden:  # popping frees the memory of each node after its use
            node, cotangent = len(hidden) - 1, cotangents.pop()
            normalised = normalise(hidden[-1].detach())
            self.nodes.add(node, hidden.pop().detach(), cotangent, normalised)
            sources[:, node] = sketch.source(node, normalised.flatten(0, 1))
            targets[:, node] = sketch.cotangent(node, cotangent.flatten(0, 1))
        return gradient_products(sources.transpose(0, 1), targets.transpose(0, 1))
