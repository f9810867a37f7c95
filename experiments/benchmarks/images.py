"""Images in memory as tensors, so that the time to decode them is not measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from autoplace.backbones import ResidualChain
from autoplace.data import Batch, ImageSplit, PixelTable, create_transform, load_data
from autoplace.settings import InputSettings
from autoplace.training import Task, resolve_device


class ImagesInMemory:
    """Decoded images that replace an ImageSplit.

    Parameters
    ----------
    decoded
        uint8 (rows, 3, height, width).
    labels
        (rows,), classes from 0.
    normalise
        Maps decoded images to what the backbone expects.
    """

    def __init__(
        self,
        decoded: Tensor,
        labels: np.ndarray,
        normalise: Callable[[Tensor], Tensor],
        name: str = "train",
    ) -> None:
        self.decoded = decoded
        self.labels = labels
        self.normalise = normalise
        self.name = name
        self.images = normalise(decoded)

    @classmethod
    def of(cls, source: str, chain: ResidualChain, count: int, seed: int) -> Self:
        """Load the first `count` training images of a data set, transformed for the backbone."""
        data = load_data(source, transform=create_transform(chain.data_config), seed=seed)
        return cls.first(data.train, count)

    @classmethod
    def first(cls, split: ImageSplit, count: int) -> Self:
        """Decode the first images of a split."""
        (batch,) = split.pixels(count, range(min(count, len(split))))
        return cls(batch.images, batch.labels.numpy(), split.normalise, split.name)

    def __len__(self) -> int:
        return len(self.labels)

    def readable(self, indices: Iterable[int]) -> np.ndarray:
        """Return True for every index."""
        return np.ones(len(list(indices)), dtype=bool)

    def joined(self, other: ImagesInMemory, name: str) -> ImagesInMemory:
        """Return the images of this split followed by those of another."""
        decoded = torch.cat([self.decoded, other.decoded])
        labels = np.concatenate([self.labels, other.labels])
        return ImagesInMemory(decoded, labels, self.normalise, name)

    def batches(
        self, batch_size: int, indices: Sequence[int] | np.ndarray | Tensor | None = None
    ) -> Iterator[Batch]:
        """Yield batches in the order of `indices` (default: all images)."""
        for batch in self.pixels(batch_size, indices):
            yield replace(batch, images=self.images[batch.indices])

    def pixels(
        self,
        batch_size: int,
        indices: Sequence[int] | np.ndarray | Tensor | None = None,
        kept: PixelTable | None = None,
    ) -> Iterator[Batch]:
        """Yield batches before normalisation; `kept` is not used."""
        order = torch.arange(len(self)) if indices is None else torch.as_tensor(indices)
        for rows in order.split(batch_size):
            yield Batch(self.decoded[rows], torch.from_numpy(self.labels)[rows], rows)


def task_in_memory(
    source: str, chain: ResidualChain, count: int, seed: int, inputs: InputSettings
) -> Task:
    """Make a task of the first `count` training images and few images of the other splits."""
    data = load_data(source, transform=create_transform(chain.data_config), seed=seed)
    splits: dict[str, Any] = {
        split.name: ImagesInMemory.first(
            split, count if split is data.train else max(8, count // 8)
        )
        for split in data.splits
    }
    return Task(
        chain,
        replace(data, **splits),
        fingerprint="in memory",
        metric="accuracy",
        device=resolve_device("auto"),
        seed=seed,
        inputs=inputs,
        notify=print,
    )
