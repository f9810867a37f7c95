"""The probe's loss: each image under a head that was fitted without it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autoplace.model import cross_entropy, cross_fitted_heads


class CrossFittedLoss:
    """Cross-entropy of the probe's images under cross-fitted logistic heads.

    Calling it gives a micro-batch's share of the mean loss over all rows, so that gradients of
    micro-batches add up to the gradient of the mean.

    Parameters
    ----------
    features
        (rows, features), detached final features of all images.
    labels
        (rows,), the classes.
    """

    def __init__(self, features: Tensor, labels: np.ndarray, n_classes: int, seed: int) -> None:
        numbers = features.double().cpu().numpy()
        half, heads = cross_fitted_heads(numbers, labels, n_classes, seed)
        logits = np.where((half == 0)[:, None], *(head.logits(numbers) for head in heads))
        self.accuracy = float((logits.argmax(1) == labels).mean())
        self.value = cross_entropy(logits, labels)
        self._weights = [torch.from_numpy(head.weight).to(features) for head in heads]
        self._biases = [torch.from_numpy(head.bias).to(features) for head in heads]
        self._half = torch.from_numpy(half).to(features.device)
        self._labels = torch.from_numpy(labels).to(features.device)

    def __call__(self, features: Tensor, rows: slice) -> Tensor:
        """features: (batch, features) of `rows`, with their graph."""
        first, second = (
            functional.linear(features, weight, bias)
            for weight, bias in zip(self._weights, self._biases, strict=True)
        )
        logits = torch.where((self._half[rows] == 0)[:, None], first, second)
        loss = functional.cross_entropy(logits, self._labels[rows], reduction="sum")
        return loss / len(self._labels)
