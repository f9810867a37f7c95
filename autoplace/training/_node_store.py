"""NodeStore: the values of one node for the images of a split, in memory or in a mapped file."""

from __future__ import annotations

import torch
from torch import Tensor


class NodeStore:
    """A table (rows, tokens, dim) that fills row by row.

    Attributes
    ----------
    known : Tensor (rows,) bool
        Which rows have been written.
    mapped : bool
        Whether the values lie in a file.
    """

    def __init__(self, values: Tensor, mapped: bool) -> None:
        self._values = values
        self.known = torch.zeros(len(values), dtype=torch.bool)
        self.mapped = mapped

    def write(self, rows: Tensor, values: Tensor) -> None:
        """Write values (batch, tokens, dim) at rows (batch,) on the CPU, in the table's type."""
        self._values[rows.to(self._values.device)] = values.to(self._values)
        self.known[rows] = True

    def read(self, rows: Tensor, device: torch.device) -> Tensor:
        """Values (batch, tokens, dim) float32 on a device; rows (batch,), all of them known."""
        return self._values[rows.to(self._values.device)].to(device, torch.float32)
