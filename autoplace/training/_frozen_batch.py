"""A batch of images as trials read them: values of the frozen chain, and labels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
    >>> import torch
    >>> FrozenBatch({0: torch.zeros(2, 5, 8)}, torch.tensor([0, 1])).values[0].shape
    torch.Size([2, 5, 8])
    """

    values: dict[int, Tensor]
    labels: Tensor

    def rows(self, start: int, stop: int) -> FrozenBatch:
        """Return some consecutive images of the batch."""
        values = {node: value[start:stop] for node, value in self.values.items()}
        return FrozenBatch(values, self.labels[start:stop])
