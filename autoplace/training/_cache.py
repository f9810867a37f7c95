"""Activations of the frozen chain, computed once per task for the nodes that are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from autoplace.backbones import ResidualChain
from autoplace.data import DataError, ImageSplit
from autoplace.model import frozen_activations
from autoplace.training._deadline import Deadline
from autoplace.training._inputs import CachedInputs, ImageInputs, Inputs

BATCH = 128


class ActivationCache:
    """Cached node values of one split, within a memory limit.

    Images are decoded once, as long as there is room for node 0, from which all others follow.
    Nodes that were not asked for lately make room for new ones. Where a request alone exceeds
    the limit, `inputs` falls back to images, and the trial runs the whole network each step.

    Parameters
    ----------
    limit
        Bytes that the cached values of this split may take.
    """

    def __init__(
        self, chain: ResidualChain, split: ImageSplit, device: torch.device, limit: float
    ) -> None:
        self._chain = chain
        self._split = split
        self._device = device
        self._limit = limit
        self._nodes: OrderedDict[int, Tensor] = OrderedDict()
        self._readable: np.ndarray | None = None
        self._features: Tensor | None = None
        self._bytes_per_node = 0

    @property
    def features(self) -> Tensor:
        """(rows, features), what a head reads; always kept, for it is small."""
        self.read()
        assert self._features is not None
        return self._features

    @property
    def labels(self) -> np.ndarray:
        """(rows,), labels of the readable images."""
        return self._split.labels[self.readable]

    @property
    def readable(self) -> np.ndarray:
        """(rows,), indices into the split of the readable images."""
        self.read()
        assert self._readable is not None
        return self._readable

    def read(self, deadline: Deadline | None = None) -> None:
        """Decode the split once, unless that is done: which images are readable, features, node 0.

        Raises DeadlineReachedError between batches, and DataError for too many bad images.
        """
        if self._features is None:
            self._fill((), deadline)

    def inputs(self, nodes: tuple[int, ...], deadline: Deadline | None = None) -> Inputs:
        """The rows of the split for a model that reads these frozen nodes.

        Raises DeadlineReachedError between batches of what has to be computed first.
        """
        self.read(deadline)
        labels = torch.from_numpy(self.labels).to(self._device)
        room = int(self._limit // self._bytes_per_node)
        if len(nodes) > room:
            return ImageInputs(self._split, self.readable, self._device)
        for node in (*nodes, 0):  # node 0 last: with it nothing has to be decoded again
            if node in self._nodes:
                self._nodes.move_to_end(node)
        missing = tuple(node for node in nodes if node not in self._nodes)
        while missing and len(self._nodes) + len(missing) > room:
            self._nodes.pop(next(node for node in self._nodes if node not in nodes))
        if missing:
            self._fill(missing, deadline)
        return CachedInputs({node: self._nodes[node] for node in nodes}, labels)

    def _fill(self, nodes: tuple[int, ...], deadline: Deadline | None) -> None:
        """One pass over the split for the missing nodes; the first time also for the features."""
        first, last = self._features is None, self._chain.n_nodes - 1
        found: dict[int, list[Tensor]] = {node: [] for node in nodes}
        features: list[Tensor] = []
        indices: list[Tensor] = []
        for embedded, batch_indices in self._embedded():
            if deadline is not None:
                deadline.check()
            if first and not indices:
                self._bytes_per_node = embedded[0].nbytes * len(self._split)
                if self._bytes_per_node <= self._limit:
                    found[0] = []
            values = frozen_activations(
                self._chain, embedded, {*found, last} if first else found.keys()
            )
            for node, parts in found.items():
                parts.append(values[node])
            indices.append(batch_indices)
            if first:
                with torch.no_grad():
                    features.append(self._chain.features(values[last]))
        if first:
            if not features:
                raise DataError(
                    f"none of the {len(self._split)} images of {self._split.name} can be read; "
                    "mend or replace them"
                )
            self._features = torch.cat(features)
            self._readable = torch.cat(indices).numpy()
        self._nodes |= {node: torch.cat(parts) for node, parts in found.items()}

    @torch.no_grad()
    def _embedded(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Node 0 (batch, tokens, dim) and indices (batch,), from the cache or else the images."""
        kept = self._nodes.get(0)
        if kept is not None:
            yield from zip(
                kept.split(BATCH), torch.from_numpy(self.readable).split(BATCH), strict=True
            )
            return
        for batch in self._split.batches(BATCH, self._readable):
            yield self._chain.embed(batch.images.to(self._device)), batch.indices
