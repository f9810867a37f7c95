"""The precision in which trials compute, where the device supports it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import torch

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "float16": torch.float16}


def resolve_precision(name: str, device: torch.device, notify: Callable[[str], None]) -> str:
    """`bf16` where the device computes in it, else `float32` and a notice."""
    if name == "bf16" and not supports_bf16(device):
        what = "GPU" if device.type == "cuda" else "CPU"
        notify(f"this {what} has no bf16 instructions; computing in float32")
        return "float32"
    return name


def supports_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 instructions; emulation is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: Mapping[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Matrix products in bf16 and all else in float32; with `float32`, no change."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
