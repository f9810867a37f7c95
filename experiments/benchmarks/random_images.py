"""A training split without a data set: random images that are in memory from the start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from autoplace.data import Batch


class RandomImages:
    """Noise with a faint pattern for each class, so that heads have something to fit.

    Stands in for an ImageSplit where the time to decode images must not count.

    Parameters
    ----------
    shape
        (3, height, width) of an image.
    """

    def __init__(self, count: int, n_classes: int, shape: Sequence[int], seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.labels = np.arange(count, dtype=np.int64) % n_classes
        patterns = torch.randn(n_classes, *shape, generator=generator)
        noise = torch.randn(count, *shape, generator=generator)
        self.images = noise + 0.3 * patterns[torch.from_numpy(self.labels)]

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, indices: Sequence[int] | np.ndarray | Tensor) -> Batch:
        """The images at these indices, in this order."""
        rows = torch.as_tensor(np.asarray(indices))
        return Batch(self.images[rows], torch.from_numpy(self.labels)[rows], rows)

    def batches(
        self, batch_size: int, indices: Sequence[int] | np.ndarray | Tensor | None = None
    ) -> Iterator[Batch]:
        """Batches in the order of `indices` (default: all)."""
        order = np.arange(len(self)) if indices is None else np.asarray(indices)
        for start in range(0, len(order), batch_size):
            yield self.load(order[start : start + batch_size])
