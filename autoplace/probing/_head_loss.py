"""The probe's loss: each image under a head that was fitted without it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from autoplace.model import LinearHead


class HeldOutLoss:
    """Cross-entropy under logistic heads, summed over images, a pass at a time.

    Attributes
    ----------
    n_rows
        Images seen so far.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self._sum = 0.0
        self._hits = 0

    @property
    def value(self) -> float:
        """Mean loss in nats."""
        return self._sum / self.n_rows

    @property
    def accuracy(self) -> float:
        """Share of images guessed right."""
        return self._hits / self.n_rows

    def __call__(self, head: LinearHead, features: Tensor, labels: Tensor) -> Tensor:
        """features: (rows, features) with their graph; labels: (rows,); head: fitted on others."""
        weight, bias = (torch.from_numpy(each).to(features) for each in (head.weight, head.bias))
        logits = functional.linear(features, weight, bias)
        targets = labels.to(features.device)
        loss = functional.cross_entropy(logits, targets, reduction="sum")
        self.n_rows += len(labels)
        self._sum += float(loss.detach())
        self._hits += int((logits.argmax(1) == targets).sum())
        return loss
