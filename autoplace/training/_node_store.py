"""NodeStore: the values of one node for the images of a split, in memory or in a mapped file."""

from __future__ import annotations

import torch
from torch import Tensor


class NodeStore:
    """A table (rows, tokens, dim) that fills row by row.

    Attributes
    ----------
    known
        (rows,), which rows have been written.
    mapped
        Whether the values lie in a file.
    """

    def __init__(self, values: Tensor, mapped: bool) -> None:
        self._values = values
        self.known = torch.zeros(len(values), dtype=torch.bool)
        self.mapped = mapped

    def write(self, rows: Tensor, values: Tensor) -> None:
        """rows: (batch,) on the CPU; values: (batch, tokens, dim), stored in the table's type."""
        self._values[rows.to(self._values.device)] = values.to(self._values)
        self.known[rows] = True

    def read(self, rows: Tensor, device: torch.device) -> Tensor:
        """(batch, tokens, dim) in float32 on a device; rows: (batch,) on the CPU, all known."""
        return self._values[rows.to(self._values.device)].to(device, torch.float32)
