"""The images of one split, decoded only when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autoplace.data._decoding import UnreadableImageError
from autoplace.data._errors import DataError
from autoplace.data._record import DecodingRecord, pixel_digest

# Decoding releases the interpreter lock; beyond a few threads the transform is what takes the time.
N_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Batch:
    """Images (B, 3, H, W) float32, labels (B,) int64, and their indices (B,) int64 in the split."""

    images: Tensor
    labels: Tensor
    indices: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class _Decoded:
    image: Tensor
    digest: str


class ImageSplit:
    """The images and labels of one split.

    Parameters
    ----------
    name : "train", "val" or "test".
    paths : where each image comes from, for people to read; unique over all splits.
    labels : (len,) class indices.
    read : gives the RGB picture at an index, or raises UnreadableImageError.
    transform : picture to tensor (3, H, W).
    record : what is known of the decoded images, shared with the other splits.
    """

    def __init__(
        self,
        name: str,
        paths: list[str],
        labels: np.ndarray,
        *,
        read: Callable[[int], Image.Image],
        transform: Callable[[Image.Image], Tensor],
        record: DecodingRecord,
    ) -> None:
        self.name = name
        self.paths = paths
        self.labels = np.asarray(labels, dtype=np.int64)
        self._read = read
        self._transform = transform
        self._record = record

    def __len__(self) -> int:
        return len(self.labels)

    def readable(self, indices: Iterable[int]) -> np.ndarray:
        """Which of the images have not been found unreadable so far."""
        return np.array([not self._is_bad(index) for index in indices], dtype=bool)

    def raw(self, index: int) -> Image.Image:
        """The RGB picture before the transform. Raises DataError when it cannot be read."""
        try:
            return self._read(index)
        except UnreadableImageError as error:
            raise DataError(
                f"cannot read {self.paths[index]}: {error}; mend it or remove it from the data"
            ) from error

    def load(self, indices: Sequence[int] | np.ndarray | Tensor) -> Batch:
        """Decode the images at these indices, in this order.

        Unreadable ones are left out and recorded. Raises DataError when none is left, or when the
        data set as a whole now has more unreadable images than it may.
        """
        batches = list(self.batches(max(1, len(indices)), indices))
        if not batches:
            raise DataError(
                f"none of the {len(indices)} images asked of '{self.name}' can be read; "
                "see the list of bad images, mend or remove them"
            )
        return batches[0]

    def batches(
        self, batch_size: int, indices: Sequence[int] | np.ndarray | Tensor | None = None
    ) -> Iterator[Batch]:
        """Batches in the order of `indices` (default: all), decoded one batch ahead by threads.

        Unreadable images make a batch smaller; a batch of none is not given. Raises DataError as
        `load` does when there are too many of them.
        """
        order = [int(i) for i in (range(len(self)) if indices is None else indices)]
        chunks = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        with ThreadPoolExecutor(N_THREADS) as pool:
            ahead: list[tuple[int, Future[_Decoded]]] = []
            for chunk in [*chunks, []]:
                current = ahead
                ahead = [(i, pool.submit(self._decode, i)) for i in chunk if not self._is_bad(i)]
                try:
                    batch = self._collect(current)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
                if batch is not None:
                    yield batch

    def _is_bad(self, index: int) -> bool:
        return self._record.is_bad(self.paths[index])

    def _decode(self, index: int) -> _Decoded:
        image = self._read(index)
        return _Decoded(self._transform(image), pixel_digest(image))

    def _collect(self, pending: Iterable[tuple[int, Future[_Decoded]]]) -> Batch | None:
        indices, images = [], []
        for index, future in pending:
            try:
                decoded = future.result()
            except UnreadableImageError as error:
                self._record.add_bad(self.paths[index], str(error))
                continue
            self._record.add_image(self.name, self.paths[index], decoded.digest)
            indices.append(index)
            images.append(decoded.image)
        if not images:
            return None
        return Batch(
            torch.stack(images), torch.from_numpy(self.labels[indices]), torch.tensor(indices)
        )
