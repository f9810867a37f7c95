"""The loss of the probe: images are scored with a head that was fitted on other images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from autoplace.model import LinearHead


class HeldOutLoss:
    """Cross-entropy of linear heads, summed over images and passes.

    Attributes
    ----------
    n_rows : int
        Images so far.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from autoplace.model import LinearHead
    >>> head = LinearHead(weight=np.eye(2), bias=np.zeros(2))
    >>> loss = HeldOutLoss()
    >>> features = torch.tensor([[9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
    >>> summed = loss(head, features, labels=torch.tensor([0, 1, 0]))
    >>> loss.n_rows, round(loss.accuracy, 3), round(loss.value, 3)
    (3, 0.667, 3.0)
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
        """Share of images classified correctly."""
        return self._hits / self.n_rows

    def __call__(self, head: LinearHead, features: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of some images, summed over them.

        Parameters
        ----------
        head : LinearHead
            Head that was fitted on other images.
        features : Tensor of shape (rows, features)
            Features with their autograd graph.
        labels : Tensor of shape (rows,)
            Classes.

        Returns
        -------
        Tensor
            Sum of the cross-entropy in nats, with its autograd graph.
        """
        weight, bias = (torch.from_numpy(array).to(features) for array in (head.weight, head.bias))
        logits = functional.linear(features, weight, bias)
        targets = labels.to(features.device)
        loss = functional.cross_entropy(logits, targets, reduction="sum")
        self.n_rows += len(labels)
        self._sum += float(loss.detach())
        self._hits += int((logits.argmax(1) == targets).sum())
        return loss
