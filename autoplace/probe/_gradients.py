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
    # One large product runs faster than n · m small ones.
    left = sources.permute(0, 2, 1).reshape(n * k, rows)
    right = cotangents.permute(1, 0, 2).reshape(rows, m * width)
    return (left @ right).reshape(n, k, m, width).permute(0, 2, 1, 3)


def projection(dim: int, width: int, seed: int, like: Tensor) -> Tensor | None:
    """A fixed random projection (dim, width) that keeps inner products in expectation.

    Its columns are orthogonal: spectra come out truer than through Gaussian columns, the more so
    the nearer `width` is to dim. None where the stream is no wider than `width`, or `width` is 0:
    then nothing is lost.
    """
    if width == 0 or dim <= width:
        return None
    generator = torch.Generator().manual_seed(seed)
    directions, _ = torch.linalg.qr(torch.randn(dim, width, generator=generator))
    return (directions * (dim / width) ** 0.5).to(like)


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
        """gradients: (n, n, k, l) of one micro-batch."""
        squares = gradients.square().sum((-1, -2))
        if self._total is None or self._squares is None:
            self._total, self._squares = gradients, squares
        else:
            self._total = self._total + gradients
            self._squares = self._squares + squares
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
        mean_squared = self.total.square().sum((-1, -2)) / count**2
        variance = (self._squares / count - mean_squared) * count / (count - 1)
        return mean_squared / (variance / count)
