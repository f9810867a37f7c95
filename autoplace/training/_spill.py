"""Where cached activations go that memory has no room for: files, mapped into it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

KEPT_FREE = 2**30  # bytes of the disk that are left alone


class Spill:
    """A folder for mapped files. They vanish with the process, however it ends.

    Parameters
    ----------
    folder
        None: the system's folder for temporary files.
    notify
        Is told, once each, that files are used and why they cannot be.
    """

    def __init__(self, folder: str | None, notify: Callable[[str], None]) -> None:
        self.folder = Path(folder or tempfile.gettempdir())
        self._notify = notify
        self._told: set[str] = set()

    def fits(self, n_bytes: int) -> bool:
        """Whether so much can be kept here, with something of the disk left to others."""
        return self._obstacle(n_bytes) is None

    def allows(self, n_bytes: int) -> bool:
        """As `fits`, and tells why not."""
        obstacle = self._obstacle(n_bytes)
        if obstacle is not None:
            self._refuse(obstacle)
        return obstacle is None

    def map(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor | None:
        """A tensor in a file of its own; None, and told, where that cannot be had."""
        size = torch.Size(shape).numel()
        try:
            values = self._mapped(size, dtype)
        except OSError as error:  # another process was faster, say
            self._refuse(error.strerror or str(error))
            return None
        self._tell(f"activations beyond --cache-gb are kept in files in {self.folder}")
        return values.view(shape)

    def _mapped(self, size: int, dtype: torch.dtype) -> Tensor:
        number, path = tempfile.mkstemp(prefix="autoplace-", dir=self.folder)
        try:
            # Reserved before it is mapped: to write to a page that the disk has no room for would
            # kill the process.
            os.posix_fallocate(number, 0, size * dtype.itemsize)
            return torch.from_file(path, shared=True, size=size, dtype=dtype)
        finally:
            os.close(number)
            os.unlink(path)

    def _obstacle(self, n_bytes: int) -> str | None:
        """Why files of so many bytes cannot be kept here."""
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            return error.strerror or str(error)
        if not os.access(self.folder, os.W_OK):
            return "it cannot be written to"
        if n_bytes > free - KEPT_FREE:
            return (
                f"{n_bytes / 2**30:.2f} GiB needed, {free / 2**30:.2f} free, "
                f"{KEPT_FREE / 2**30:.0f} of it left to others"
            )
        return None

    def _refuse(self, reason: str) -> None:
        self._tell(
            f"cannot keep activations in {self.folder} ({reason}): what exceeds --cache-gb is "
            "computed anew each step; name another --cache-dir, or raise --cache-gb"
        )

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._notify(text)
