"""Keeps glibc from handing memory back after every step, only to ask for it again in the next."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of mallopt(3)
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep what it frees; where the C library is another, do nothing.

    glibc maps blocks of more than 32 MiB anew at each request, and the system clears every page
    of them at its first use, which takes a part of every step of a larger backbone. GPUs have an
    allocator of torch's own, which keeps memory as this makes glibc do.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)
