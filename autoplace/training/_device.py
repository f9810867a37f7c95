"""From `--device` to a torch device."""

from __future__ import annotations

import torch

from autoplace.errors import UserError
from autoplace.training._allocator import keep_freed_memory


def resolve_device(name: str) -> torch.device:
    """`auto` takes CUDA where there is one; a CPU is made ready for large tensors.

    Raises UserError when CUDA is asked for and absent.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError(
            "CUDA was asked for, but torch sees no CUDA device; use --device cpu or auto, "
            "or install a torch build with CUDA"
        )
    if available and name in ("auto", "cuda"):
        return torch.device("cuda")
    keep_freed_memory()
    return torch.device("cpu")
