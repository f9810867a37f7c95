"""From `--device` to a torch device."""

from __future__ import annotations

import torch

from autoplace.errors import UserError


def resolve_device(name: str) -> torch.device:
    """`auto` takes CUDA where there is one. Raises UserError when CUDA is asked for and absent."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError(
            "CUDA was asked for, but torch sees no CUDA device; use --device cpu or auto, "
            "or install a torch build with CUDA"
        )
    return torch.device("cuda" if available and name in ("auto", "cuda") else "cpu")
