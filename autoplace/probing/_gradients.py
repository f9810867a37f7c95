"""Gradients of every edge's linear map at zero, from activations and cotangents alone."""

from __future__ import annotations

import torch
from torch import Tensor


def gradient_products(sources: Tensor, cotangents: Tensor) -> Tensor:
    """Gradients of every edge's linear map, at zero: G_ij = sources_iᵀ cotangents_j.

    sources: (n, rows, k) what each edge's last linear map reads: the normalised stream for a
    linear map, act(down(norm h)) for a bottleneck's `up`; cotangents: (m, rows, l) d loss / d h_j.
    Returns (n, m, k, l); entry [i, j] belongs to Edge(i, j). Memory: n · m · k · l.
    """
    n, rows, k = sources.shape
    m, _, width = cotangents.shape
    # One large product runs faster than n · m small ones. Nothing is copied where memory is laid
    # out as (rows, n, k), which the sketch sees to.
    left = sources.permute(0, 2, 1).reshape(n * k, rows)
    right = cotangents.permute(0, 2, 1).reshape(m * width, rows)
    return (left @ right.T).reshape(n, k, m, width).permute(0, 2, 1, 3)


class GradientSum:
    """Sums micro-batch gradients and what is needed for their signal-to-noise.

    Signal-to-noise of an edge: ‖mean‖² over the variance of that mean, both over the B
    micro-batches; about 1 for pure noise, B · signal² / variance for a steady direction.
    """

    def __init__(self) -> None:
        self._total: Tensor | None = None
        self._squares: Tensor | None = None
        self._count = 0

    def add(self, gradients: Tensor) -> None:
        """gradients: (n, n, k, l) of one micro-batch; taken over, and not to be used again."""
        squares = torch.linalg.vector_norm(gradients, dim=(-2, -1)).square()
        if self._total is None or self._squares is None:
            self._total, self._squares = gradients, squares
        else:
            self._total += gradients
            self._squares += squares
        self._count += 1

    @property
    def total(self) -> Tensor:
        """(n, n, k, l), the gradient over all micro-batches."""
        assert self._total is not None, "no micro-batch was added"
        return self._total

    def signal_to_noise(self) -> Tensor:
        """(n, n); NaN with fewer than two micro-batches."""
        count = self._count
        if count < 2 or self._squares is None:
            return torch.full(self.total.shape[:2], float("nan"))
        mean_squared = torch.linalg.vector_norm(self.total, dim=(-2, -1)).square() / count**2
        variance = (self._squares / count - mean_squared) * count / (count - 1)
        return mean_squared / (variance / count)
