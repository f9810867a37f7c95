"""Some space that a run keeps for its end: with it, a run is closed even on a full disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from autoplace.tracking._error import WriteError

RESERVE_FILE = "reserve"
SIZE = 2**20  # some lines of a ledger and the pages that SQLite rewrites


def take_reserve(run_folder: Path) -> Path:
    """Write a file of 1 MiB into a run folder, unless it is there, and return its path.

    Raises
    ------
    WriteError
        There is not so much space.
    """
    path = run_folder / RESERVE_FILE
    try:
        if not path.exists() or path.stat().st_size < SIZE:
            with path.open("wb") as file:
                file.write(os.urandom(SIZE))  # zeros might take no space
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        free_reserve(path)
        raise WriteError(
            f"cannot write into the run folder {run_folder}: {error.strerror or error}; "
            "free some space"
        ) from error
    return path


def free_reserve(path: Path) -> None:
    """Make room for what the end of a run writes."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
