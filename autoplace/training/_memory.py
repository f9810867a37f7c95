"""CacheMemory: what all caches of a task may store, in memory and then in files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from threading import RLock

import torch

from autoplace.training._node_store import NodeStore
from autoplace.training._spill import Spill


@dataclass(frozen=True)
class Table:
    """Shape (rows, ...), type and place of a store."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @property
    def n_bytes(self) -> int:
        """Size of its values."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


class CacheMemory:
    """Stores of all splits under one limit of memory, then in files.

    Stores that nobody holds make room for new ones, the least recently used first, of whatever
    split they are. Threads may share it.

    Parameters
    ----------
    limit : float
        Bytes of memory that all stores together may take.
    spill : Spill
        Where stores go beyond that.

    Examples
    --------
    >>> from autoplace.training import Spill
    >>> memory = CacheMemory(limit=100, spill=Spill(None, notify=print))
    >>> table = Table((4, 5), torch.float32, torch.device("cpu"))  # 80 bytes
    >>> held = memory.hold({"a": table}, files=False)
    >>> memory.hold({"b": table}, files=False) is None  # "a" is in use
    True
    >>> memory.release(held.values())
    >>> list(memory.hold({"b": table}, files=False))
    ['b']
    """

    def __init__(self, limit: float, spill: Spill) -> None:
        self._limit = limit
        self._spill = spill
        self._stores: OrderedDict[Hashable, NodeStore] = OrderedDict()
        self._lock = RLock()

    def get(self, key: Hashable) -> NodeStore | None:
        """Return a store if there is one; only its holders may rely on its staying."""
        return self._stores.get(key)

    def hold(
        self, tables: Mapping[Hashable, Table], *, files: bool = True
    ) -> dict[Hashable, NodeStore] | None:
        """Find or make stores and hold them until `release`.

        Parameters
        ----------
        tables : mapping of hashable to Table
            What is needed, by key.
        files : bool, default=True
            Whether files may be used where memory has no room.

        Returns
        -------
        dict of hashable to NodeStore, or None
            None, and nothing is held, where there is no room for all of them.
        """
        with self._lock:
            held = {}
            for key in tables:
                if key in self._stores:
                    self._stores.move_to_end(key)
                    held[key] = self._stores[key]
                    held[key].users += 1
            missing = {key: table for key, table in tables.items() if key not in held}
            for key, mapped in self._places(missing, files).items():
                store = self._make(missing[key], mapped)
                if store is None:
                    break
                self._stores[key] = held[key] = store
                store.users += 1
            if len(held) == len(tables):
                return {key: held[key] for key in tables}
            self.release(held.values())
            return None

    def release(self, stores: Iterable[NodeStore]) -> None:
        """Let go of stores; they stay until others need the room."""
        with self._lock:
            for store in stores:
                store.users -= 1

    def in_memory(self, *, held: bool = False) -> int:
        """Bytes that stores take in memory, or only those that somebody holds."""
        return sum(
            store.n_bytes
            for store in self._stores.values()
            if not store.mapped and (store.users or not held)
        )

    def _places(self, missing: Mapping[Hashable, Table], files: bool) -> dict[Hashable, bool]:
        """For each table whether it goes to a file; nothing where there is no room for all."""
        room = self._limit - self.in_memory(held=True)
        mapped = {}
        for key, table in missing.items():
            mapped[key] = table.n_bytes > room
            room -= 0 if mapped[key] else table.n_bytes
        to_files = sum(missing[key].n_bytes for key in missing if mapped[key])
        if to_files:
            if not files:
                return {}
            self._drop(mapped=True, until=lambda: self._spill.fits(to_files))
            if not self._spill.allows(to_files):
                return {}
        return mapped

    def _make(self, table: Table, mapped: bool) -> NodeStore | None:
        if mapped:
            values = self._spill.map(table.shape, table.dtype)
            return None if values is None else NodeStore(values, mapped=True)
        self._drop(mapped=False, until=lambda: self.in_memory() + table.n_bytes <= self._limit)
        return NodeStore(
            torch.empty(table.shape, dtype=table.dtype, device=table.device), mapped=False
        )

    def _drop(self, *, mapped: bool, until: Callable[[], bool]) -> None:
        """Drop stores that nobody holds, the least recently used first."""
        idle = [
            key for key, store in self._stores.items() if not store.users and store.mapped == mapped
        ]
        while idle and not until():
            del self._stores[idle.pop(0)]
