"""Images that lie in memory as tensors, so that the time to decode them does not count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from autoplace.backbones import ResidualChain
from autoplace.data import Batch, create_transform, load_data


class ImagesInMemory:
    """Stands in for an ImageSplit.

    Parameters
    ----------
    images
        (rows, 3, height, width).
    labels
        (rows,), classes from 0.
    """

    name = "train"

    def __init__(self, images: Tensor, labels: np.ndarray) -> None:
        self.images = images
        self.labels = labels

    @classmethod
    def of(cls, source: str, chain: ResidualChain, count: int, seed: int) -> Self:
        """The first `count` training images of a data set, as the backbone reads them."""
        data = load_data(source, transform=create_transform(chain.data_config), seed=seed)
        batch = data.train.load(np.arange(count))
        return cls(batch.images, batch.labels.numpy())

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self, batch_size: int, indices: Sequence[int] | np.ndarray | Tensor | None = None
    ) -> Iterator[Batch]:
        """Batches in the order of `indices` (default: all)."""
        order = torch.arange(len(self)) if indices is None else torch.as_tensor(indices)
        for rows in order.split(batch_size):
            yield Batch(self.images[rows], torch.from_numpy(self.labels)[rows], rows)
