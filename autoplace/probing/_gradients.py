"""Gradients of the linear map of every edge at zero, from activations and cotangents."""

from __future__ import annotations

import torch
from torch import Tensor


def gradient_products(sources: Tensor, cotangents: Tensor) -> Tensor:
    """Compute the gradient of the linear map of every edge at zero.

    Parameters
    ----------
    sources : Tensor of shape (n, rows, k)
        What the last linear map of an adapter reads at each node: the normalised stream for a
        linear adapter, act(down(norm(h))) for a bottleneck.
    cotangents : Tensor of shape (m, rows, l)
        D_j = d loss / d h_j at each node.

    Returns
    -------
    Tensor of shape (n, m, k, l)
        G_ij = sources_iᵀ cotangents_j; entry [i, j] belongs to Edge(i, j).

    Examples
    --------
    >>> import torch
    >>> sources, cotangents = torch.randn(5, 100, 8), torch.randn(5, 100, 6)
    >>> gradients = gradient_products(sources, cotangents)
    >>> gradients.shape
    torch.Size([5, 5, 8, 6])
    >>> torch.allclose(gradients[2, 4], sources[2].T @ cotangents[4], atol=1e-4)
    True
    """
    n, rows, k = sources.shape
    m, _, width = cotangents.shape
    # One large product runs faster than n · m small ones. `reshape` copies nothing if the memory
    # layout is (rows, n, k), as in the tensors of `Sketch.allocate`.
    left = sources.permute(0, 2, 1).reshape(n * k, rows)
    right = cotangents.permute(0, 2, 1).reshape(m * width, rows)
    return (left @ right.T).reshape(n, k, m, width).permute(0, 2, 1, 3)


class GradientSum:
    """The sum of the gradients of micro-batches, and their signal-to-noise.

    Examples
    --------
    >>> import torch
    >>> gradients = GradientSum()
    >>> for value in (1.0, 3.0):
    ...     gradients.add(torch.full((2, 2, 1, 1), value))
    >>> gradients.total[0, 1]
    tensor([[4.]])
    >>> gradients.signal_to_noise()
    tensor([[4., 4.],
            [4., 4.]])
    """

    def __init__(self) -> None:
        self._total: Tensor | None = None
        self._squares: Tensor | None = None
        self._count = 0

    def add(self, gradients: Tensor) -> None:
        """Add the gradients of one micro-batch.

        Parameters
        ----------
        gradients : Tensor of shape (n, n, k, l)
            Gradients; the tensor may be overwritten, so do not use it afterwards.
        """
        squares = torch.linalg.vector_norm(gradients, dim=(-2, -1)).square()
        if self._total is None or self._squares is None:
            self._total, self._squares = gradients, squares
        else:
            self._total += gradients
            self._squares += squares
        self._count += 1

    @property
    def total(self) -> Tensor:
        """The sum over all micro-batches, (n, n, k, l)."""
        assert self._total is not None, "no micro-batch was added"
        return self._total

    def signal_to_noise(self) -> Tensor:
        """Compute the signal-to-noise of each edge, (n, n).

        This is ‖mean‖² divided by the variance of the mean, over the B micro-batches: about 1 for
        pure noise, and B · signal² / variance for a constant direction. It is NaN for fewer than
        two micro-batches.
        """
        count = self._count
        if count < 2 or self._squares is None:
            return torch.full(self.total.shape[:2], float("nan"))
        mean_squared = torch.linalg.vector_norm(self.total, dim=(-2, -1)).square() / count**2
        variance = (self._squares / count - mean_squared) * count / (count - 1)
        ratio: Tensor = mean_squared / (variance / count)
        return ratio
