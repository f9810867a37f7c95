"""A folder of files with a SHA-256 of each: how predictors and placement logs lie on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from ._errors import PredictorError

SUMS = "SHA256SUMS"  # in the form that `sha256sum --check` reads


def write_folder(folder: str | Path, contents: Mapping[str, bytes], what: str) -> Path:
    """Write files to a new or empty folder.

    The checksums are written last, so that a folder that was only half written does not load.
    `what` is what is written, for people: "predictor". Raises PredictorError for a folder in use.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PredictorError(f"{folder} is not an empty folder; save the {what} to a new one")
    folder.mkdir(parents=True, exist_ok=True)
    sums = []
    for name, data in contents.items():
        (folder / name).write_bytes(data)
        sums.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
    (folder / SUMS).write_bytes("".join(sums).encode())
    return folder


def read_folder(
    folder: Path, names: Iterable[str], what: str, remedy: str, optional: Iterable[str] = ()
) -> dict[str, bytes]:
    """Read the files by name. Raises PredictorError where one is missing or not as it was written.

    Files of `optional` may never have been written: those that were have a checksum. `remedy` is
    what to do after an error: "restore it or train a new one".
    """
    try:
        lines = (line.split() for line in (folder / SUMS).read_text().splitlines())
        sums = {name: digest for digest, name in lines}
        written = (*names, *(name for name in optional if name in sums))
        contents = {name: (folder / name).read_bytes() for name in written}
    except (OSError, ValueError) as error:
        raise PredictorError(f"{folder} is not a complete {what} ({error}); {remedy}") from error
    for name, data in contents.items():
        if hashlib.sha256(data).hexdigest() != sums.get(name):
            raise PredictorError(
                f"{folder / name} does not match its checksum in {SUMS}; "
                f"it was changed or damaged, {remedy}"
            )
    return contents
