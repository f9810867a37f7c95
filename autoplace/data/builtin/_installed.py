"""Find the installed files that pictures are made from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from autoplace.data._errors import DataError

ENVIRONMENT = "AUTOPLACE_PICTURES"
_USUAL = Path("/usr/share")


def shared_folder() -> Path:
    """Return the folder that packages install into: `AUTOPLACE_PICTURES`, by default /usr/share.

    That folder must have the same paths in it as /usr/share, such as `fonts/truetype/noto`.
    """
    return Path(os.environ.get(ENVIRONMENT) or _USUAL).expanduser()


def installed(name: str, package: str) -> Path:
    """Return the path of an installed file.

    Parameters
    ----------
    name : str
        Path relative to the shared folder.
    package : str
        The package that contains the file, for the message.

    Raises
    ------
    DataError
        If the file is missing.
    """
    path = shared_folder() / name
    if not path.exists():
        raise DataError(
            f"this task needs {path}\n"
            f"install {package}, or set {ENVIRONMENT} to a folder with the same paths as /usr/share"
        )
    return path


def unusual_origin(paths: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits that identify files from `AUTOPLACE_PICTURES`.

    Only their contents count, not their location. The text is empty if no such file is among the
    paths, because tasks made from installed packages are identified by their name and version.
    """
    folder = shared_folder()
    unusual = [] if folder == _USUAL else [p for p in paths if p.is_relative_to(folder)]
    if not unusual:
        return ""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(unusual):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
