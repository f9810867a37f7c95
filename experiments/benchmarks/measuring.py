"""How benchmarks measure: seconds of a call, and how far it raises the memory in use."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def seconds(action: Callable[[], Any]) -> float:
    """Wall seconds of one call, until the device has finished."""
    _synchronise()
    started = time.perf_counter()
    action()
    _synchronise()
    return time.perf_counter() - started


def raised_bytes(action: Callable[[], Any]) -> int:
    """By how much a call raises the memory in use, at its highest over what was used before it.

    On a GPU of its memory, else of the process (resident set, as Linux tells it). What an earlier
    call has freed may be used again without being seen, so measure in a new process. Raises
    SystemExit where the system does not tell.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        action()
        return torch.cuda.max_memory_allocated() - before
    if not RESET.exists():
        raise SystemExit("memory is measured on Linux only; leave --memory out")
    RESET.write_text("5")  # resets the high-water mark (proc(5))
    before = _resident("VmRSS")
    action()
    return _resident("VmHWM") - before


def _resident(name: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"the system does not tell {name}")


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
