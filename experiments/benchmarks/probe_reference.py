"""References for a probe: the floor, inserted adapters and full gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from images import ImagesInMemory
from torch import Tensor, nn
from torch.nn import functional

from autoplace.adapters import normalise
from autoplace.backbones import ResidualChain
from autoplace.model import AdaptedModel
from autoplace.placement import Edge, Placement
from autoplace.probing import Captured, Measurement, measure_held_out, spectrum_statistics
from autoplace.settings import ProbeSettings


def forward_backward(
    chain: ResidualChain, split: ImagesInMemory, head: nn.Linear, batch_size: int
) -> None:
    """Run the floor: get gradients of the loss with respect to the embeddings of every image."""
    for batch in split.batches(batch_size):
        embeddings = hidden = chain.embed(batch.images.to(head.weight)).detach().requires_grad_()
        for node in range(1, chain.n_nodes):
            hidden = chain.step(node, hidden)
        logits = head(chain.features(hidden))
        loss = functional.cross_entropy(logits, batch.labels.to(logits.device))
        torch.autograd.grad(loss, embeddings)


class FullMap(nn.Module):
    """The linear map on the normalised stream, initially zero, whose gradient is measured."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim, dim))

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden: (batch, tokens, dim)."""
        return normalise(hidden) @ self.weight


def insert_and_differentiate(
    chain: ResidualChain, split: ImagesInMemory, head: nn.Linear, batch_size: int, edge: Edge
) -> Tensor:
    """Return the gradient (dim, dim) of one edge's map, from autograd with the adapter inserted."""
    model = AdaptedModel(chain, Placement.of([edge]), tuple(map(str, range(head.out_features))))
    model.adapters[str(edge)] = FullMap(chain.dim)
    model.head = head
    model.to(head.weight)
    for batch in split.batches(batch_size):
        logits = model(batch.images.to(head.weight))
        functional.cross_entropy(logits, batch.labels.to(logits.device)).backward()
    gradient = model.adapters[str(edge)].weight.grad
    assert gradient is not None
    return gradient


class FullMeasurement(Measurement):
    """Full gradients (edges, dim, dim) of some edges; all of them would not fit in memory."""

    def __init__(self, chain: ResidualChain, edges: Sequence[Edge]) -> None:
        super().__init__(chain, width=0, seed=0)
        self._edges = edges

    @torch.no_grad()
    def products(self, captured: Captured, cotangents: list[Tensor], labels: Tensor) -> Tensor:
        """Multiply sources and cotangents, one edge at a time."""
        hidden = [normalise(each.detach()).flatten(0, 1) for each in captured.hidden]
        targets = [each.flatten(0, 1) for each in cotangents]
        return torch.stack([hidden[e.source].T @ targets[e.target] for e in self._edges])


def reference_statistics(
    chain: ResidualChain,
    split: ImagesInMemory,
    n_classes: int,
    settings: ProbeSettings,
    seed: int,
    edges: Sequence[Edge],
) -> pd.DataFrame:
    """Compute statistics of some edges in float64 without a sketch, one row per edge.

    The chain is left in float64.
    """
    measurement = FullMeasurement(chain.double(), edges)
    measure_held_out(measurement, split, n_classes, settings, seed)  # type: ignore[arg-type]
    total = measurement.gradients.total
    rows = [
        {name: values.item() for name, values in spectrum_statistics(each[None, None]).items()}
        for each in total
    ]
    table = pd.DataFrame(
        rows, index=pd.MultiIndex.from_tuples([(e.source, e.target) for e in edges])
    )
    return table.assign(snr=np.asarray(measurement.gradients.signal_to_noise()))
