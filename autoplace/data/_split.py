"""The images of one split, decoded only when they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autoplace.data._decoding import UnreadableImageError
from autoplace.data._errors import DataError
from autoplace.data._record import DecodingRecord, pixel_digest
from autoplace.data._transforms import ImageTransform

# Decoding and resizing release the interpreter lock: one worker for each core of this process.
N_WORKERS = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
)


@dataclass(frozen=True)
class Batch:
    """Images, their labels, and their indices in the split.

    Parameters
    ----------
    images : Tensor
        float32, or uint8 before normalisation, of shape (batch, 3, height, width).
    labels : Tensor
        Class indices, int64 of shape (batch,).
    indices : Tensor
        int64 of shape (batch,).

    Examples
    --------
    >>> from autoplace.data import create_transform, load_data
    >>> transform = create_transform({"input_size": [3, 8, 8]})
    >>> batch = load_data("builtin:digits", transform=transform).train.load([4, 2])
    >>> len(batch), batch.images.shape, batch.indices
    (2, torch.Size([2, 3, 8, 8]), tensor([4, 2]))
    """

    images: Tensor
    labels: Tensor
    indices: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class PixelTable(Protocol):
    """Pixels of a split that are kept, so that an image is decoded only once.

    Attributes
    ----------
    known : Tensor (images,) bool
        Which images it has.

    Examples
    --------
    >>> from autoplace.data import PixelTable
    >>> sorted(name for name in vars(PixelTable) if not name.startswith("_"))
    ['read', 'write']
    """

    known: Tensor

    def read(self, rows: Tensor) -> Tensor:
        """Return the pixels (batch, 3, height, width) of images (batch,)."""

    def write(self, rows: Tensor, values: Tensor) -> None:
        """Keep the pixels (batch, 3, height, width) of images (batch,)."""


@dataclass(frozen=True)
class _Decoded:
    pixels: Tensor
    digest: str | None  # None for pixels that were kept


_Pending = list[tuple[int, Future[_Decoded]]]


class ImageSplit:
    """The images and labels of one split; `load_data` makes them.

    Parameters
    ----------
    name : str
        "train", "val", "test", or "fit" for train and val together.
    paths : list of str
        Where each image comes from, for people to read; unique across all splits.
    labels : ndarray
        Class indices of shape (images,).
    read : callable
        Returns the RGB picture at an index, or raises UnreadableImageError.
    transform : ImageTransform
        Maps a picture to a tensor of shape (3, height, width).
    record : DecodingRecord
        Results of decoding; shared with the other splits.
    origins : sequence of str, optional
        Split that each image is recorded under; default: `name`.

    Examples
    --------
    >>> from autoplace.data import create_transform, load_data
    >>> transform = create_transform({"input_size": [3, 8, 8]})
    >>> val = load_data("builtin:digits", transform=transform).val
    >>> len(val), val.labels[:5], val.raw(0).size
    (200, array([...]), (8, 8))
    >>> [len(batch) for batch in val.batches(80)]
    [80, 80, 40]
    """

    def __init__(
        self,
        name: str,
        paths: list[str],
        labels: np.ndarray,
        *,
        read: Callable[[int], Image.Image],
        transform: ImageTransform,
        record: DecodingRecord,
        origins: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self.paths = paths
        self.labels = np.asarray(labels, dtype=np.int64)
        self._read = read
        self._transform = transform
        self._record = record
        self._origins = [name] * len(paths) if origins is None else list(origins)

    def __len__(self) -> int:
        return len(self.labels)

    def joined(self, other: ImageSplit, name: str) -> ImageSplit:
        """Make a split of the images of this split followed by those of another.

        Each image is still recorded under its own split.
        """
        here = len(self)

        def read(index: int) -> Image.Image:
            return self._read(index) if index < here else other._read(index - here)

        return ImageSplit(
            name,
            [*self.paths, *other.paths],
            np.concatenate([self.labels, other.labels]),
            read=read,
            transform=self._transform,
            record=self._record,
            origins=[*self._origins, *other._origins],
        )

    def readable(self, indices: Iterable[int]) -> np.ndarray:
        """Return for each index whether its image has not been found unreadable so far."""
        return np.array([not self._is_bad(index) for index in indices], dtype=bool)

    def raw(self, index: int) -> Image.Image:
        """Return the RGB picture before the transform.

        Raises
        ------
        DataError
            If it cannot be read.
        """
        try:
            return self._read(index)
        except UnreadableImageError as error:
            raise DataError(
                f"cannot read {self.paths[index]}: {error}; fix it or remove it from the data"
            ) from error

    def load(self, indices: Sequence[int] | np.ndarray | Tensor) -> Batch:
        """Decode the images at these indices, in this order.

        Unreadable images are left out and recorded.

        Raises
        ------
        DataError
            If no image is left, or if the data set now has more unreadable images than allowed.
        """
        batches = list(self.batches(max(1, len(indices)), indices))
        if not batches:
            raise DataError(
                f"none of the {len(indices)} images needed from '{self.name}' can be read; "
                "fix or remove the unreadable images"
            )
        return batches[0]

    def batches(
        self, batch_size: int, indices: Sequence[int] | np.ndarray | Tensor | None = None
    ) -> Iterator[Batch]:
        """Decode and normalise images in batches; see `pixels`.

        Yields
        ------
        Batch
            At least one image, in float32.
        """
        for batch in self.pixels(batch_size, indices):
            yield replace(batch, images=self.normalise(batch.images))

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn pixels (batch, 3, height, width) into what the backbone expects."""
        return self._transform.normalise(pixels)

    def pixels(
        self,
        batch_size: int,
        indices: Sequence[int] | np.ndarray | Tensor | None = None,
        kept: PixelTable | None = None,
    ) -> Iterator[Batch]:
        """Decode images in batches; threads decode one batch ahead.

        Parameters
        ----------
        batch_size : int
            Images per batch. Unreadable images make a batch smaller.
        indices : sequence of int or None, default=None
            Which images, in this order; all by default.
        kept : PixelTable, optional
            Images to take from there instead; those that are decoded are added to it.

        Yields
        ------
        Batch
            At least one image, in uint8.

        Raises
        ------
        DataError
            If the whole data set now has more unreadable images than allowed.
        """
        order = [int(i) for i in (range(len(self)) if indices is None else indices)]
        chunks = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        with ThreadPoolExecutor(N_WORKERS) as pool:
            ahead: _Pending | Tensor = []
            for chunk in [*chunks, []]:
                current = ahead
                if kept is not None and chunk and bool(kept.known[chunk].all()):
                    ahead = torch.tensor(chunk)
                else:
                    ahead = [
                        (i, pool.submit(self._decode, i, kept))
                        for i in chunk
                        if not self._is_bad(i)
                    ]
                try:
                    batch = self._collect(current, kept)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
                if batch is not None:
                    yield batch

    def _is_bad(self, index: int) -> bool:
        return self._record.is_bad(self.paths[index])

    def _decode(self, index: int, kept: PixelTable | None) -> _Decoded:
        if kept is not None and kept.known[index]:
            return _Decoded(kept.read(torch.tensor([index]))[0], None)
        image = self._read(index)
        return _Decoded(self._transform.pixels(image), pixel_digest(image))

    def _collect(self, pending: _Pending | Tensor, kept: PixelTable | None) -> Batch | None:
        """Wait for the images of a batch, or take a batch whose images are all kept."""
        if isinstance(pending, Tensor):
            assert kept is not None
            return self._batch(pending, kept.read(pending))
        indices, images = [], []
        for index, future in pending:
            try:
                decoded = future.result()
            except UnreadableImageError as error:
                self._record.add_bad(self.paths[index], str(error))
                continue
            if decoded.digest is not None:
                self._record.add_image(self._origins[index], self.paths[index], decoded.digest)
            indices.append(index)
            images.append(decoded.pixels)
        if not images:
            return None
        batch = self._batch(torch.tensor(indices), torch.stack(images))
        if kept is not None:
            kept.write(batch.indices, batch.images)
        return batch

    def _batch(self, rows: Tensor, pixels: Tensor) -> Batch:
        return Batch(pixels, torch.from_numpy(self.labels)[rows], rows)
