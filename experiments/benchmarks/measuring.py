"""Measure the seconds of a call and how much it raises the memory in use."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def seconds(action: Callable[[], Any]) -> float:
    """Return the wall seconds of one call, until the device has finished."""
    _synchronise()
    started = time.perf_counter()
    action()
    _synchronise()
    return time.perf_counter() - started


def raised_bytes(action: Callable[[], Any]) -> int:
    """Return the peak memory in use during a call, minus the memory in use before it.

    On a GPU this is the GPU's memory, otherwise the resident set of the process (Linux only). Use a
    new process for each measurement, because memory that an earlier call freed may be used again
    without being counted. Raises SystemExit if the system does not report memory.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        action()
        return torch.cuda.max_memory_allocated() - before
    if not RESET.exists():
        raise SystemExit("memory can be measured only on Linux; remove --memory")
    RESET.write_text("5")  # resets the high-water mark (proc(5))
    before = _resident("VmRSS")
    action()
    return _resident("VmHWM") - before


def _resident(name: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"the system does not report {name}; remove --memory")


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
