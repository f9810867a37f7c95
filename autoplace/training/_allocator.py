"""Keeps glibc from returning memory after every step, only to ask for it again in the next."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of mallopt(3)
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep what it frees; without glibc, do nothing.

    glibc maps blocks of more than 32 MiB anew at each request, and the system clears every page
    of them at its first use, which costs a part of every step of a larger backbone. On a GPU
    torch's own allocator keeps memory already.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)
