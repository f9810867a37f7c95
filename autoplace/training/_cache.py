"""Activations of the frozen chain, computed once per task for the nodes that are asked for."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager, nullcontext
from threading import RLock
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from autoplace.backbones import ResidualChain
from autoplace.data import Augmentation, DataError, ImageSplit
from autoplace.model import frozen_activations, frozen_features
from autoplace.training._deadline import Deadline
from autoplace.training._device import to_device
from autoplace.training._frozen_batch import FrozenBatch
from autoplace.training._memory import CacheMemory, Table
from autoplace.training._node_store import NodeStore, known_by
from autoplace.training._precision import autocast

CHUNK = 128  # images that are decoded and run at once
UNAUGMENTED = -1  # number of the view that is the image itself

T = TypeVar("T")


class ActivationCache:
    """Node values of one split: stored in memory, else in files, else computed again.

    A row is computed when it is first asked for, so that a trial can start before all images of
    the split have been decoded. What is not in use makes room for what is needed. If memory is
    left, the pixels of decoded images are kept too, so that what has to be computed again, or from
    other views of the images, does not decode them again.
    Whatever is stored, the values are the same; unreadable images are skipped. Threads may share a
    cache. Ours rather than a library's, because rows arrive in any order and are shared by trials
    that read different nodes.

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone.
    split : ImageSplit
        Its images.
    device : torch.device
        Where values are computed.
    memory : CacheMemory
        Where values are stored; shared with the other splits.
    dtype : torch.dtype, default=torch.float32
        Of the stored values.
    precision : str, default="float32"
        Of the forward pass: `float32` or `bf16`.
    augmentation : Augmentation, optional
        Of the images of an epoch; None for the images themselves.
    name : str, optional
        Tells caches apart that share a memory; default: the name of the split.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> cache = open_task("builtin:digits").cache("fit")
    >>> batch = next(cache.batches([3], torch.arange(200), batch_size=4))
    >>> batch.values[3].shape[0], len(cache)
    (4, 1000)
    """

    def __init__(
        self,
        chain: ResidualChain,
        split: ImageSplit,
        device: torch.device,
        *,
        memory: CacheMemory,
        dtype: torch.dtype = torch.float32,
        precision: str = "float32",
        augmentation: Augmentation | None = None,
        name: str | None = None,
    ) -> None:
        self._name = name or split.name
        self._chain = chain
        self._split = split
        self._device = device
        self._memory = memory
        self._precision = precision
        self._augmentation = augmentation
        self._features = torch.empty(len(split), chain.num_features)
        self._featured = torch.zeros(len(split), dtype=torch.bool)
        self._labels = torch.from_numpy(split.labels)
        self._table = Table((len(split), chain.tokens, chain.dim), dtype, device)
        size = tuple(chain.data_config["input_size"])
        self._pixels = Table((len(split), *size), torch.uint8, torch.device("cpu"))
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self._split)

    @property
    def labels(self) -> np.ndarray:
        """Classes (rows,) of the images of the split."""
        return self._split.labels

    @property
    def readable(self) -> np.ndarray:
        """Indices (rows,) into the split of the images not found unreadable so far."""
        return np.flatnonzero(self._split.readable(range(len(self._split))))

    def features(
        self, rows: np.ndarray, deadline: Deadline | None = None
    ) -> tuple[Tensor, np.ndarray]:
        """Compute final features of the images themselves, without augmentation; they are kept.

        Parameters
        ----------
        rows : ndarray (rows,)
            Indices into the split.
        deadline : Deadline, optional
            Checked between chunks.

        Returns
        -------
        features : Tensor (readable, features)
        labels : ndarray (readable,)

        Raises
        ------
        DataError
            None of the images can be read, or too many of the data set cannot.
        DeadlineReachedError
            The time budget is used up.
        """
        order = torch.from_numpy(rows)
        missing = order[~self._featured[order]]
        with self._held_pixels(needed=len(missing) > 0):
            self._finish(self._add_features(missing), deadline)
        known = order[self._featured[order]]
        if not len(known):
            raise DataError(
                f"none of {len(rows)} images that are needed can be read; repair or replace them"
            )
        return self._features[known], self._split.labels[known.numpy()]

    def batches(
        self,
        nodes: Collection[int],
        order: Tensor,
        batch_size: int,
        *,
        epoch: int | None = None,
        deadline: Deadline | None = None,
    ) -> Iterator[FrozenBatch]:
        """Values of rows at some nodes, a batch at a time.

        Parameters
        ----------
        nodes : collection of int
            What to read.
        order : Tensor (rows,)
            Indices into the split, in the order wanted.
        batch_size : int
            Rows of a batch; unreadable images make one smaller.
        epoch : int, optional
            Which views to take where training images are augmented; None for the images
            themselves.
        deadline : Deadline, optional
            Checked between batches.

        Yields
        ------
        FrozenBatch

        Raises
        ------
        DeadlineReachedError
            The time budget is used up.
        """
        view, keep = UNAUGMENTED, True
        if epoch is not None and self._augmentation is not None:
            view, keep = self._augmentation.view(epoch), bool(self._augmentation.views)
        with self._held(nodes, view) if keep else nullcontext() as stores:
            if stores is None:
                missing, found = order, self._computed(nodes, order, batch_size, view)
            else:
                missing = order[~known_by(stores.values(), order)]
                found = self._stored(stores, order, batch_size, view)
            with self._held_pixels(needed=bool(self._split.readable(missing.tolist()).any())):
                for rows, values in self._locked(found, deadline):
                    yield FrozenBatch(values, to_device(self._labels[rows], self._device))

    def prepare(
        self, nodes: Collection[int], rows: np.ndarray, deadline: Deadline | None = None
    ) -> None:
        """Compute the values of rows at some nodes together, in one forward pass.

        Trials that read different nodes would otherwise run the frozen chain once each. Nodes that
        memory has no room for are left out, the last ones first.

        Parameters
        ----------
        nodes : collection of int
            What trials will read, without augmentation.
        rows : ndarray (rows,)
            Indices into the split.
        deadline : Deadline, optional
            Checked between chunks.

        Raises
        ------
        DeadlineReachedError
            The time budget is used up; what was computed so far is kept.

        Examples
        --------
        >>> from autoplace.agent import open_task
        >>> task = open_task("builtin:digits")
        >>> task.cache("fit").prepare([3, 7], task.rows("val"))
        """
        stores: dict[int, NodeStore] = {}
        try:
            for node in dict.fromkeys(nodes):
                key = self._key((node, UNAUGMENTED))
                held = self._memory.hold({key: self._table}, files=False)
                if held is None:
                    break
                stores[node] = held[key]
            if stores:
                with self._held_pixels():
                    filling = self._fill(stores, torch.from_numpy(rows), UNAUGMENTED)
                    self._finish(filling, deadline)
        finally:
            self._memory.release(stores.values())

    def _finish(self, steps: Iterator[object], deadline: Deadline | None) -> None:
        for _ in self._locked(steps, deadline):
            pass

    def _locked(self, steps: Iterator[T], deadline: Deadline | None) -> Iterator[T]:
        """Take each step while holding the lock, and check the deadline after it."""
        while True:
            with self._lock:
                step = next(steps, None)
            if step is None:
                return
            if deadline is not None:
                deadline.check()
            yield step

    def _add_features(self, missing: Tensor) -> Iterator[Tensor]:
        """Compute and keep features of rows; yields the rows of each chunk."""
        for embedded, rows in self._embedded(missing, CHUNK, UNAUGMENTED):
            with autocast(self._precision, self._device):
                features = frozen_features(self._chain, embedded)
            self._features[rows] = features.float().cpu()
            self._featured[rows] = True
            yield rows

    def _fill(self, stores: dict[int, NodeStore], order: Tensor, view: int) -> Iterator[Tensor]:
        """Compute and store what stores do not know of rows; yields the rows of each chunk."""
        missing = order[~known_by(stores.values(), order)]
        for rows, values in self._computed(stores, missing, CHUNK, view):
            for node, store in stores.items():
                store.write(rows, values[node])
            yield rows

    def _stored(
        self, stores: dict[int, NodeStore], order: Tensor, batch_size: int, view: int
    ) -> Iterator[tuple[Tensor, dict[int, Tensor]]]:
        """Rows and their values; those not known yet are computed first."""
        filling = self._fill(stores, order, view)
        for rows in order.split(batch_size):
            while not known_by(stores.values(), rows).all():
                if next(filling, None) is None:  # what is still missing cannot be read
                    rows = rows[known_by(stores.values(), rows)]
                    break
            if len(rows):
                yield rows, {node: self._read(store, rows) for node, store in stores.items()}

    def _read(self, store: NodeStore, rows: Tensor) -> Tensor:
        return to_device(store.read(rows), self._device).to(torch.float32)

    def _computed(
        self, nodes: Collection[int], order: Tensor, size: int, view: int
    ) -> Iterator[tuple[Tensor, dict[int, Tensor]]]:
        """Rows and their values, from a forward pass that ends at the last of the nodes."""
        for embedded, rows in self._embedded(order, size, view):
            with autocast(self._precision, self._device):
                values = frozen_activations(self._chain, embedded, nodes)
            yield rows, {node: value.float() for node, value in values.items()}

    def _embedded(self, order: Tensor, size: int, view: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Node 0 (batch, tokens, dim) of rows (batch,), from pixels that are kept or decoded."""
        kept = self._memory.get(self._key("pixels"))
        for batch in self._split.pixels(size, order, kept):
            images = self._images(batch.images, batch.indices, view)
            with torch.no_grad(), autocast(self._precision, self._device):
                embedded = self._chain.embed(images).float()
            yield embedded, batch.indices

    def _images(self, pixels: Tensor, rows: Tensor, view: int) -> Tensor:
        """Images (batch, 3, height, width) on the device, as the backbone expects them."""
        if view == UNAUGMENTED or self._augmentation is None:
            return self._split.normalise(to_device(pixels, self._device))
        images = self._split.normalise(self._augmentation.apply(pixels, rows, view))
        return to_device(self._augmentation.erase(images, rows, view), self._device)

    @contextmanager
    def _held_pixels(self, needed: bool = True) -> Iterator[None]:
        """Keep the pixels of decoded images, as far as memory allows after all that is held."""
        tables = {self._key("pixels"): self._pixels} if needed else {}
        held = self._memory.hold(tables, files=False)
        try:
            yield
        finally:
            self._memory.release((held or {}).values())

    @contextmanager
    def _held(self, nodes: Collection[int], view: int) -> Iterator[dict[int, NodeStore] | None]:
        """Hold the stores of some nodes; None where there is no room for all of them."""
        tables = {self._key((node, view)): self._table for node in nodes}
        held = self._memory.hold(tables)
        try:
            if held is None:
                yield None
            else:
                yield {node: held[self._key((node, view))] for node in nodes}
        finally:
            self._memory.release((held or {}).values())

    def _key(self, name: Hashable) -> Hashable:
        return self._name, name
