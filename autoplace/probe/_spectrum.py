"""Statistics of gradient spectra: ranks, norms and energy."""

from __future__ import annotations

import torch
from torch import Tensor

ENERGY_RANK = 8
SKETCH_WIDTH = 16


def spectrum_statistics(gradients: Tensor) -> dict[str, Tensor]:
    """Statistics of each gradient's singular values s1 >= s2 >= ...

    gradients: (n, n, k, l). Returns (n, n) each, float64: numerical ranks (values above a share of
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


def narrow_sketch(gradients: Tensor, seed: int) -> Tensor:
    """A fixed random projection of each gradient, (n, n, 16), so that overlap can be computed.

    gradients: (n, n, k, l). Cosines between sketches estimate cosines between gradients.
    """
    flat = gradients.flatten(2)
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(flat.shape[-1], SKETCH_WIDTH, generator=generator).to(flat)
    return flat @ directions / SKETCH_WIDTH**0.5
