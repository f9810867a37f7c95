"""Activations of the frozen chain, computed once per task for the nodes that are asked for."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

from autoplace.backbones import ResidualChain
from autoplace.data import ImageSplit
from autoplace.model import frozen_activations
from autoplace.training._inputs import CachedInputs, ImageInputs, Inputs

BATCH = 128


class ActivationCache:
    """Cached node values of one split, within a memory limit.

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
        if self._features is None:
            self._fill(())
        assert self._features is not None
        return self._features

    @property
    def labels(self) -> np.ndarray:
        """(rows,), labels of the readable images."""
        _ = self.features
        return self._split.labels[self._readable]

    @property
    def readable(self) -> np.ndarray:
        """(rows,), indices into the split of the readable images."""
        _ = self.features
        assert self._readable is not None
        return self._readable

    def inputs(self, nodes: tuple[int, ...]) -> Inputs:
        """The rows of the split for a model that reads these frozen nodes."""
        labels = torch.from_numpy(self.labels).to(self._device)
        room = self._limit // self._bytes_per_node if self._bytes_per_node else 0
        if len(nodes) > room:
            return ImageInputs(self._split, self.readable, self._device)
        missing = tuple(node for node in nodes if node not in self._nodes)
        for node in nodes:
            if node in self._nodes:
                self._nodes.move_to_end(node)
        while missing and len(self._nodes) + len(missing) > room:
            self._nodes.popitem(last=False)
        if missing:
            self._fill(missing)
        return CachedInputs({node: self._nodes[node] for node in nodes}, labels)

    def _fill(self, nodes: tuple[int, ...]) -> None:
        """One pass over the split for the missing nodes, and the features the first time."""
        want_features = self._features is None
        last = self._chain.n_nodes - 1
        asked = (*nodes, last) if want_features and last not in nodes else nodes
        found: dict[int, list[Tensor]] = {node: [] for node in nodes}
        features, indices = [], []
        for batch in self._split.batches(BATCH, self._readable):
            values = frozen_activations(self._chain, batch.images.to(self._device), asked)
            for node in nodes:
                found[node].append(values[node])
            indices.append(batch.indices)
            if want_features:
                with torch.no_grad():
                    features.append(self._chain.features(values[last]))
                self._bytes_per_node = values[last][0].nbytes * len(self._split)
        if want_features:
            self._features = torch.cat(features)
            self._readable = torch.cat(indices).numpy()
        self._nodes |= {node: torch.cat(values) for node, values in found.items()}
