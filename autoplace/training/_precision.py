"""The precision in which trials compute, where the device supports it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import torch

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "float16": torch.float16}
WITH_TF32 = (8, 0)  # compute capability of the first GPUs with TF32


def resolve_precision(name: str, device: torch.device, notify: Callable[[str], None]) -> str:
    """Decide on `float32`, `tf32` or `bf16`, and set up float32 products on a GPU accordingly.

    `auto` is `bf16` on a GPU that has it, and else `float32`. What the device does not have
    becomes `float32`, and the user is notified.
    """
    cuda = device.type == "cuda"
    what = "GPU" if cuda else "CPU"
    if name == "auto":
        name = "bf16" if cuda and supports_bf16(device) else "float32"
    if name == "bf16" and not supports_bf16(device):
        notify(f"this {what} has no bf16 instructions; computing in float32")
        name = "float32"
    if name == "tf32" and not supports_tf32(device):
        notify(f"this {what} has no TF32; computing in float32")
        name = "float32"
    if cuda:
        faster = name != "float32" and supports_tf32(device)
        torch.set_float32_matmul_precision("high" if faster else "highest")
        torch.backends.cudnn.allow_tf32 = faster
    return name


def supports_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 instructions; emulation is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: Mapping[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def supports_tf32(device: torch.device) -> bool:
    """Whether the device multiplies float32 matrices in TF32."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= WITH_TF32


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 matrices in float32, also where TF32 is switched on.

    Examples
    --------
    >>> with full_precision():
    ...     torch.get_float32_matmul_precision()
    'highest'
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Matrix products in bf16 and all else in float32; no change for other precisions."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
