"""Statistics of gradient spectra: ranks, norms and energy."""

from __future__ import annotations

import torch
from torch import Tensor

from autoplace.probing._sketch import Sketch

ENERGY_RANK = 8
SHARED_WIDTH, OVERLAP_WIDTH = 48, 16


def spectrum_statistics(gradients: Tensor) -> dict[str, Tensor]:
    """Statistics of each gradient's singular values s1 >= s2 >= ...

    gradients: (..., k, l). Returns (...) each, float64: numerical ranks (values above a share of
    s1: 1e-2 for `gradient_rank`, 1e-1 and 1e-3 beside it), stable rank ‖G‖_F² / s1², effective
    rank exp(entropy of s / Σs) (Roy & Vetterli 2007), Frobenius, spectral and nuclear norm, and
    the share of ‖G‖_F² in the top 8 directions. A gradient of zero has rank 0 and NaN shares.
    """
    # In the gradients' own precision: float32 is good to about 1e-6 of s1, well below 1e-3.
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
    """A fixed random projection of each gradient to 16 numbers, so that overlap can be computed.

    Cosines between the results estimate cosines between gradients.

    Parameters
    ----------
    sketch
        How the gradients are seen: each node has directions of its own there, while those of the
        projection are the same for all.
    dim
        Width of the stream.
    """

    def __init__(self, sketch: Sketch, dim: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)

        def random(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator) / shape[-1] ** 0.5

        self._sketch = sketch
        self._left, self._right = random(dim, SHARED_WIDTH), random(dim, SHARED_WIDTH)
        self._last = random(SHARED_WIDTH**2, OVERLAP_WIDTH)

    def of_source(self, source: int, gradients: Tensor) -> Tensor:
        """gradients: (n, k, l) of the edges from one node; returns (n, 16)."""
        left, right, last = (each.to(gradients) for each in (self._left, self._right, self._last))
        return self._sketch.seen_from(source, gradients, left, right).flatten(1) @ last
