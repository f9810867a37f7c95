"""NodeStore: one value for each image of a split, in memory or in a mapped file."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor


class NodeStore:
    """A table (rows, ...) that fills row by row: values of a node, or pixels.

    Attributes
    ----------
    known : Tensor (rows,) bool
        Which rows have been written.
    mapped : bool
        Whether the values lie in a file.
    users : int
        How many readers hold it now; a store that somebody holds is not dropped.
    """

    def __init__(self, values: Tensor, mapped: bool) -> None:
        self._values = values
        self.known = torch.zeros(len(values), dtype=torch.bool)
        self.mapped = mapped
        self.users = 0

    @property
    def n_bytes(self) -> int:
        """Size of the table."""
        return self._values.numel() * self._values.element_size()

    def write(self, rows: Tensor, values: Tensor) -> None:
        """Write values (batch, ...) at rows (batch,) on the CPU, in the table's type."""
        self._values[rows.to(self._values.device)] = values.to(self._values)
        self.known[rows] = True

    def read(self, rows: Tensor) -> Tensor:
        """Values (batch, ...) where they are stored and in their type; rows are all known."""
        return self._values[rows.to(self._values.device)]


def known_by(stores: Collection[NodeStore], rows: Tensor) -> Tensor:
    """Which rows (rows,) every store knows."""
    known = torch.ones(len(rows), dtype=torch.bool)
    for store in stores:
        known &= store.known[rows]
    return known
