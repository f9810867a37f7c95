"""Files, mapped into memory, for cached activations that memory has no room for."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import torch
from torch import Tensor

KEPT_FREE = 2**30  # bytes of the disk that are left alone
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")


class Spill:
    """A folder for mapped files, which vanish with the process, however it ends.

    Parameters
    ----------
    folder : str or None
        None for the system's folder for temporary files.
    notify : callable
        Called with a sentence, once each, when files are used and when they cannot be.

    Examples
    --------
    >>> values = Spill(None, notify=lambda text: None).map((2, 3), torch.float32)
    >>> tuple(values.shape)
    (2, 3)
    """

    def __init__(self, folder: str | None, notify: Callable[[str], None]) -> None:
        self.folder = Path(folder or tempfile.gettempdir())
        self._notify = notify
        self._told: set[str] = set()

    def fits(self, n_bytes: int) -> bool:
        """Whether so many bytes fit, with some of the disk left to others."""
        return self._obstacle(n_bytes) is None

    def allows(self, n_bytes: int) -> bool:
        """As `fits`; notifies why not."""
        obstacle = self._obstacle(n_bytes)
        if obstacle is not None:
            self._refuse(obstacle)
        return obstacle is None

    def map(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
        """Make a tensor in a file of its own; notify and return None if that is not possible."""
        size = torch.Size(shape).numel()
        try:
            values = self._mapped(size, dtype)
        except OSError as error:  # another process was faster, say
            self._refuse(error.strerror or str(error))
            return None
        self._tell("used", f"activations beyond --cache-gb are kept in files in {self.folder}")
        return values.view(shape)

    def _mapped(self, size: int, dtype: torch.dtype) -> Tensor:
        number, path = tempfile.mkstemp(prefix="autoplace-", dir=self.folder)
        try:
            _reserve(number, size * dtype.itemsize)
            return torch.from_file(path, shared=True, size=size, dtype=dtype)
        finally:
            os.close(number)
            with suppress(PermissionError):  # Windows keeps a mapped file until it is closed
                os.unlink(path)

    def _obstacle(self, n_bytes: int) -> str | None:
        """Why files of so many bytes cannot be kept here."""
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            return error.strerror or str(error)
        if not os.access(self.folder, os.W_OK):
            return "it cannot be written to"
        if is_memory(self.folder):
            return "its files take memory, not disk"
        if n_bytes > free - KEPT_FREE:
            return (
                f"{n_bytes / 2**30:.2f} GiB needed, {free / 2**30:.2f} free, "
                f"{KEPT_FREE / 2**30:.0f} of it left to others"
            )
        return None

    def _refuse(self, reason: str) -> None:
        self._tell(
            "refused",
            f"cannot keep activations in {self.folder} ({reason}): what exceeds --cache-gb is "
            "computed again at each step; name another --cache-dir, or raise --cache-gb",
        )

    def _tell(self, what: str, text: str) -> None:
        """Notify once of each thing; the room that is free differs from time to time."""
        if what not in self._told:
            self._told.add(what)
            self._notify(text)


def is_memory(folder: Path) -> bool:
    """Whether the files of a folder take memory: it lies on tmpfs or ramfs."""
    resolved = folder.resolve()
    mounted = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    kinds = (mounted[place] for place in (resolved, *resolved.parents) if place in mounted)
    return next(kinds, "") in MEMORY_FILE_SYSTEMS


def _reserve(number: int, n_bytes: int) -> None:
    """Take room on the disk for an open file before it is mapped.

    Writing to a mapped page that the disk has no room for would kill the process. Raises OSError
    where there is no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(number, 0, n_bytes)
        return
    zeros = bytes(2**20)
    for start in range(0, n_bytes, len(zeros)):
        os.write(number, zeros[: n_bytes - start])
