"""Activations of the frozen chain, computed once per task for the nodes that are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from threading import RLock
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from autoplace.backbones import ResidualChain
from autoplace.data import Augmentation, DataError, ImageSplit
from autoplace.model import frozen_activations, frozen_features
from autoplace.training._deadline import Deadline
from autoplace.training._node_store import NodeStore
from autoplace.training._precision import autocast
from autoplace.training._spill import Spill

CHUNK = 128  # images that are decoded and run at once
UNAUGMENTED = -1  # number of the view that is the image itself

Key = tuple[int, int]  # node and view
T = TypeVar("T")


@dataclass(frozen=True)
class FrozenBatch:
    """Some images of a split as trials read them, on the device.

    Attributes
    ----------
    values : dict of int to Tensor (batch, tokens, dim)
        float32, by node.
    labels : Tensor (batch,)
        Classes.

    Examples
    --------
    >>> FrozenBatch({0: torch.zeros(2, 5, 8)}, torch.tensor([0, 1])).values[0].shape
    torch.Size([2, 5, 8])
    """

    values: dict[int, Tensor]
    labels: Tensor


class ActivationCache:
    """Node values of one split: stored in memory, else in files, else computed again.

    A row is computed when it is first asked for, so that a trial can start before all images of
    the split have been decoded. Nodes that were not asked for lately make room for new ones.
    Whatever is stored, the values are the same; unreadable images are skipped. Threads may share a
    cache: a lock is held while values are computed, read or written. Ours rather than a library's,
    because rows arrive in any order and are shared by trials that read different nodes.

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone.
    split : ImageSplit
        Its images.
    device : torch.device
        Where values are computed.
    limit : float
        Bytes of memory that the stored values of this split may take.
    spill : Spill
        Where stored values go beyond that.
    dtype : torch.dtype, default=torch.float32
        Of the stored values.
    precision : str, default="float32"
        Of the forward pass: `float32` or `bf16`.
    augmentation : Augmentation, optional
        Of the images of an epoch; None for the images themselves.

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
        limit: float,
        spill: Spill,
        dtype: torch.dtype = torch.float32,
        precision: str = "float32",
        augmentation: Augmentation | None = None,
    ) -> None:
        self._chain = chain
        self._split = split
        self._device = device
        self._limit = limit
        self._spill = spill
        self._dtype = dtype
        self._precision = precision
        self._augmentation = augmentation
        self._stores: OrderedDict[Key, NodeStore] = OrderedDict()
        self._features = torch.empty(len(split), chain.num_features)
        self._featured = torch.zeros(len(split), dtype=torch.bool)
        self._labels = torch.from_numpy(split.labels)
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
        self._run(self._add_features(missing), deadline)
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
        with self._lock:
            stores = self._reserve(nodes, view) if keep else None
        found = (
            self._computed(nodes, order, batch_size, view)
            if stores is None
            else self._stored(stores, order, batch_size, view)
        )
        for rows, values in self._locked(found, deadline):
            yield FrozenBatch(values, self._labels[rows].to(self._device))

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
        with self._lock:
            stores = self._reserve(list(dict.fromkeys(nodes))[: self._slots], UNAUGMENTED)
        if stores:
            self._run(self._fill(stores, torch.from_numpy(rows), UNAUGMENTED), deadline)

    def _run(self, steps: Iterator[object], deadline: Deadline | None) -> None:
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
        missing = order[~_known(stores.values(), order)]
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
            while not _known(stores.values(), rows).all():
                if next(filling, None) is None:  # what is still missing cannot be read
                    rows = rows[_known(stores.values(), rows)]
                    break
            if len(rows):
                yield rows, {node: s.read(rows, self._device) for node, s in stores.items()}

    def _computed(
        self, nodes: Collection[int], order: Tensor, size: int, view: int
    ) -> Iterator[tuple[Tensor, dict[int, Tensor]]]:
        """Rows and their values, from a forward pass that ends at the last of the nodes."""
        for embedded, rows in self._embedded(order, size, view):
            with autocast(self._precision, self._device):
                values = frozen_activations(self._chain, embedded, nodes)
            yield rows, {node: value.float() for node, value in values.items()}

    def _embedded(self, order: Tensor, size: int, view: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Node 0 (batch, tokens, dim) and rows (batch,), stored or from the images."""
        first = self._stores.get((0, view))
        if first is not None and first.known[order].all():
            for rows in order.split(size) if len(order) else ():
                yield first.read(rows, self._device), rows
            return
        for batch in self._split.batches(size, order):
            images = batch.images
            if view != UNAUGMENTED and self._augmentation is not None:
                images = self._augmentation.apply(images, batch.indices, view)
            with torch.no_grad(), autocast(self._precision, self._device):
                embedded = self._chain.embed(images.to(self._device)).float()
            if first is not None:
                first.write(batch.indices, embedded)
            yield embedded, batch.indices

    def _reserve(self, nodes: Collection[int], view: int) -> dict[int, NodeStore] | None:
        """Make a store for each node; return None where there is no room for all of them."""
        wanted, first = [(node, view) for node in nodes], (0, view)
        for key in (*wanted, first):  # node 0 last: with it nothing has to be decoded again
            if key in self._stores:
                self._stores.move_to_end(key)
        missing = [key for key in wanted if key not in self._stores]
        room = self._slots - self._in_memory(wanted)
        to_files = max(0, len(missing) - room) * self._node_bytes
        if to_files:
            self._drop(wanted, mapped=True, until=lambda: self._spill.fits(to_files))
        ready = not to_files or self._spill.allows(to_files)
        ready = ready and all(self._add(key, wanted) for key in missing)
        if first not in self._stores and self._in_memory(wanted if ready else ()) < self._slots:
            self._add(first, [*wanted, first] if ready else [first])
        return {node: self._stores[node, view] for node in nodes} if ready else None

    def _add(self, key: Key, wanted: Collection[Key]) -> bool:
        """Make a store for a node and view; those that are not wanted may be dropped."""
        shape = (len(self._split), self._chain.tokens, self._chain.dim)
        self._drop(wanted, mapped=False, until=lambda: self._in_memory() < self._slots)
        if self._in_memory() < self._slots:
            values = torch.empty(shape, dtype=self._dtype, device=self._device)
            self._stores[key] = NodeStore(values, mapped=False)
            return True
        mapped = self._spill.map(shape, self._dtype)
        if mapped is not None:
            self._stores[key] = NodeStore(mapped, mapped=True)
        return mapped is not None

    def _drop(self, wanted: Collection[Key], *, mapped: bool, until: Callable[[], bool]) -> None:
        """Drop stores that are not wanted, the least recently used first."""
        idle = [
            key
            for key, store in self._stores.items()
            if key not in wanted and store.mapped == mapped
        ]
        while idle and not until():
            del self._stores[idle.pop(0)]

    @property
    def _node_bytes(self) -> int:
        values = len(self._split) * self._chain.tokens * self._chain.dim
        return values * self._dtype.itemsize

    @property
    def _slots(self) -> int:
        """Stores that memory may hold."""
        return int(self._limit // self._node_bytes)

    def _in_memory(self, keys: Collection[Key] | None = None) -> int:
        """Count the stores in memory, among those of some keys."""
        return sum(
            not store.mapped for key, store in self._stores.items() if keys is None or key in keys
        )


def _known(stores: Collection[NodeStore], rows: Tensor) -> Tensor:
    """(rows,), which rows every store knows."""
    known = torch.ones(len(rows), dtype=torch.bool)
    for store in stores:
        known &= store.known[rows]
    return known
