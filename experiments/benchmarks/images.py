"""Images in memory as tensors, so that the time to decode them is not measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from autoplace.backbones import ResidualChain
from autoplace.data import Batch, create_transform, load_data
from autoplace.settings import InputSettings
from autoplace.training import Task, resolve_device


class ImagesInMemory:
    """Decoded images that replace an ImageSplit.

    Parameters
    ----------
    images
        (rows, 3, height, width).
    labels
        (rows,), classes from 0.
    """

    def __init__(self, images: Tensor, labels: np.ndarray, name: str = "train") -> None:
        self.images = images
        self.labels = labels
        self.name = name

    @classmethod
    def of(cls, source: str, chain: ResidualChain, count: int, seed: int) -> Self:
        """Load the first `count` training images of a data set, transformed for the backbone."""
        data = load_data(source, transform=create_transform(chain.data_config), seed=seed)
        batch = data.train.load(np.arange(count))
        return cls(batch.images, batch.labels.numpy())

    def __len__(self) -> int:
        return len(self.labels)

    def readable(self, indices: Iterable[int]) -> np.ndarray:
        """Return True for every index."""
        return np.ones(len(list(indices)), dtype=bool)

    def joined(self, other: ImagesInMemory, name: str) -> ImagesInMemory:
        """Return the images of this split followed by those of another."""
        images = torch.cat([self.images, other.images])
        return ImagesInMemory(images, np.concatenate([self.labels, other.labels]), name)

    def batches(
        self, batch_size: int, indices: Sequence[int] | np.ndarray | Tensor | None = None
    ) -> Iterator[Batch]:
        """Yield batches in the order of `indices` (default: all images)."""
        order = torch.arange(len(self)) if indices is None else torch.as_tensor(indices)
        for rows in order.split(batch_size):
            yield Batch(self.images[rows], torch.from_numpy(self.labels)[rows], rows)


def task_in_memory(
    source: str, chain: ResidualChain, count: int, seed: int, inputs: InputSettings
) -> Task:
    """Make a task of the first `count` training images and few images of the other splits."""
    data = load_data(source, transform=create_transform(chain.data_config), seed=seed)
    splits: dict[str, Any] = {}
    for split in data.splits:
        batch = split.load(np.arange(count if split is data.train else max(8, count // 8)))
        splits[split.name] = ImagesInMemory(batch.images, batch.labels.numpy(), split.name)
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
