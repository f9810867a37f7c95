"""Describe where a benchmark ran: machine, threads and library versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

LIBRARIES = ("torch", "timm", "scikit-learn", "numpy")


def describe_machine() -> dict[str, Any]:
    """Return the fields `device`, `machine`, `threads` and `versions` of a benchmark's document.

    The load average (runnable processes over the last minute) shows how reliable the seconds are;
    it is None if the system does not provide it.
    """
    on_gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if on_gpu else f"CPU, {_processor()}",
        "machine": {
            "architecture": platform.machine(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        },
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
    }


def _processor() -> str | None:
    """Return the processor's name, or None if the system does not provide it."""
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None
