"""From `--device` to a torch device."""

from __future__ import annotations

import torch
from torch import Tensor

from autoplace.errors import UserError
from autoplace.training._allocator import keep_freed_memory


def resolve_device(name: str) -> torch.device:
    """Device to train on; `auto` takes CUDA where there is one.

    Parameters
    ----------
    name : str
        `auto`, `cpu` or `cuda`.

    Raises
    ------
    UserError
        CUDA is asked for, but torch sees none.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
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


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device; from the CPU to a GPU without waiting for it."""
    if device.type == "cuda" and values.device.type == "cpu":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
