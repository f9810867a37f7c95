"""Statistics of the gradients: ranks, norms and energy of their spectra, and their overlap."""

from __future__ import annotations

import torch
from torch import Tensor

from autoplace.probing._sketch import Sketch

ENERGY_RANK = 8
SHARED_WIDTH, OVERLAP_WIDTH = 48, 16


def spectrum_statistics(gradients: Tensor) -> dict[str, Tensor]:
    """Compute statistics of the singular values s1 >= s2 >= ... of each gradient.

    Parameters
    ----------
    gradients : Tensor of shape (..., k, l)
        Gradients.

    Returns
    -------
    dict of str to Tensor of shape (...), float64
        `gradient_rank`, `rank_1e1` and `rank_1e3`: number of singular values above 1e-2, 1e-1
        and 1e-3 times s1. `stable_rank`: ‖G‖_F² / s1². `effective_rank`: exp(entropy of s / Σs).
        `frobenius_norm`, `spectral_norm`, `nuclear_norm`. `energy_r8`: share of ‖G‖_F² in the
        top 8 directions. A gradient of zero has rank 0; its other ranks and its share are NaN.

    References
    ----------
    Roy and Vetterli 2007, "The Effective Rank", EUSIPCO.

    Examples
    --------
    >>> import torch
    >>> statistics = spectrum_statistics(torch.diag(torch.tensor([2.0, 2.0, 0.1, 0.001])))
    >>> [statistics[name].item() for name in ("rank_1e1", "gradient_rank", "rank_1e3")]
    [2.0, 3.0, 3.0]
    >>> round(statistics["stable_rank"].item(), 2)
    2.0
    """
    # In the precision of the gradients: float32 is accurate to about 1e-6 of s1, far below 1e-3.
    values = torch.linalg.svdvals(gradients).double()
    top, energy = values[..., 0], values.square()
    total = energy.sum(-1)
    share = values / values.sum(-1, keepdim=True)
    entropy = -torch.special.xlogy(share, share).sum(-1)
    rank = {
        name: (values > tolerance * top[..., None]).sum(-1).double()
        for name, tolerance in (("gradient_rank", 1e-2), ("rank_1e1", 1e-1), ("rank_1e3", 1e-3))
    }
    return rank | {
        "stable_rank": total / top.square(),
        "effective_rank": entropy.exp(),
        "frobenius_norm": total.sqrt(),
        "spectral_norm": top,
        "nuclear_norm": values.sum(-1),
        "energy_r8": energy[..., :ENERGY_RANK].sum(-1) / total,
    }


class OverlapSketch:
    """A fixed random projection of each gradient to 16 numbers.

    Cosines between these numbers estimate cosines between gradients, the overlap of two edges.

    Parameters
    ----------
    sketch : Sketch
        Sketch of the gradients. Its directions differ between nodes; those of the projection are
        the same for all edges.
    dim : int
        Width of the stream.
    seed : int
        Seed of the projection.

    Examples
    --------
    >>> import torch
    >>> overlap = OverlapSketch(Sketch(), dim=24, seed=0)
    >>> gradient = torch.randn(24, 24, generator=torch.Generator().manual_seed(0))
    >>> projected = overlap.of_source(0, torch.stack([gradient, 2 * gradient]))
    >>> projected.shape
    torch.Size([2, 16])
    >>> round(torch.cosine_similarity(projected[0], projected[1], dim=0).item(), 3)
    1.0
    """

    def __init__(self, sketch: Sketch, dim: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)

        def random(*shape: int) -> Tensor:
            scaled: Tensor = torch.randn(*shape, generator=generator) / shape[-1] ** 0.5
            return scaled

        self._sketch = sketch
        self._left, self._right = random(dim, SHARED_WIDTH), random(dim, SHARED_WIDTH)
        self._last = random(SHARED_WIDTH**2, OVERLAP_WIDTH)

    def of_source(self, source: int, gradients: Tensor) -> Tensor:
        """Project the gradients of all edges from one node.

        Parameters
        ----------
        source : int
            The node.
        gradients : Tensor of shape (n, k, l)
            Sketched gradients, by target.

        Returns
        -------
        Tensor of shape (n, 16)
            Projections, by target.
        """
        left, right, last = (part.to(gradients) for part in (self._left, self._right, self._last))
        projected: Tensor = self._sketch.project(source, gradients, left, right).flatten(1) @ last
        return projected
