"""Read a weights file whatever its name says: safetensors, or a torch file read weights-only."""

from __future__ import annotations

import argparse
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from autoplace.backbones._error import BackboneError

# How files begin that people take for weights, and what to do about each.
_NO_WEIGHTS = {
    b"version https://git-lfs": "is a pointer of Git LFS, not the weights; run 'git lfs pull', or "
    "download the file itself",
    b"<": "is a web page, not weights; download the file itself",
    b"\x1f\x8b": "is a compressed archive; unpack it and give the weights in it",
    b"\xfd7zXZ": "is a compressed archive; unpack it and give the weights in it",
    b"\x89HDF": "is an HDF5 file; only safetensors and torch files of weights can be read",
}
_SEPARATE = "save only the model's state dict, preferably as safetensors"
# Where trainers keep weights, to name it in advice; the best first.
_WEIGHTS_KEYS = ("state_dict_ema", "model_ema", "teacher", "state_dict", "model")
_LARGEST_HEADER = 100_000_000  # of a safetensors file


def read_weights_file(path: Path) -> Any:
    """Return what a file holds; nothing in it is run.

    Parameters
    ----------
    path : Path
        A safetensors or torch file; its first bytes decide which, not its suffix.

    Returns
    -------
    mapping of str to Tensor, or anything that a trainer saved around one

    Raises
    ------
    BackboneError
        If the file is missing, holds no weights, or holds more than can be read safely.
    """
    if not path.is_file():
        inside = sorted(path.glob("*.safetensors")) or sorted(path.glob("*.bin"))
        hint = f"; did you mean {str(inside[0])!r}?" if inside else ""
        raise BackboneError(f"checkpoint {str(path)!r} does not exist or is not a file{hint}")
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise _refuse(path, f"cannot be read: {error.strerror}") from error
    if not head:
        raise _refuse(path, "is empty; download or save the weights again")
    for start, reason in _NO_WEIGHTS.items():
        if head.lstrip().startswith(start):
            raise _refuse(path, reason)
    if head.lstrip().startswith(b"{") and b'"weight_map"' in head:
        raise _refuse(
            path, "is only the index of weights in several files; save them in one safetensors file"
        )
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= _LARGEST_HEADER:
        return _read_safetensors(path)
    if head.startswith(b"PK"):
        _check_zip(path)
    return _read_torch(path)


def _read_safetensors(path: Path) -> Any:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise BackboneError(
            f"checkpoint {str(path)!r} cannot be read as safetensors: {error};\n"
            "download or save the weights again"
        ) from error


def _check_zip(path: Path) -> None:
    """Refuse zip files that are not torch's."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise _refuse(path, "is damaged or incomplete; download or save the weights again") from (
            error
        )
    if any(name.endswith(".npy") for name in names):
        raise _refuse(
            path,
            "holds NumPy arrays (of JAX); only safetensors and torch files of weights can be read",
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise _refuse(path, "is a compressed archive; unpack it and give the weights in it")
    if any(name.endswith("constants.pkl") for name in names):
        raise _refuse(path, f"is a TorchScript program, not only weights;\n{_SEPARATE}")


def _read_torch(path: Path) -> Any:
    try:
        # Trainers save their options beside the weights, as this plain record of values. The open
        # file is given because torch would go by the suffix of a path.
        with torch.serialization.safe_globals([argparse.Namespace]), path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _not_plain(path) from error
    # Damaged files make the reader raise almost anything.
    except Exception as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> BackboneError:
    return BackboneError(
        f"checkpoint {str(path)!r} cannot be read as safetensors or as a torch file of plain "
        f"weights;\n{_SEPARATE}"
    )


def _not_plain(path: Path) -> BackboneError:
    """Return the error for a file that asks for objects that only unpickling could make."""
    try:
        with path.open("rb") as file:
            refused = set(torch.serialization.get_unsafe_globals_in_checkpoint(file))
        refused.discard("argparse.Namespace")
        key, culprit, weights = _find_refused(path, refused)
    except Exception:  # a file of torch's old format, or damaged
        return _unreadable(path)
    where = f"its {key!r} holds {culprit}" if key else f"it holds {culprit}"
    weights_of = f"checkpoint[{weights!r}]" if weights else "model.state_dict()"
    return BackboneError(
        f"checkpoint {str(path)!r} is not only weights: {where}, which could run code and is not "
        "read;\nin the program that wrote it, save the weights alone: "
        f"torch.save({weights_of}, 'weights.pth')"
    )


def _find_refused(path: Path, refused: set[str]) -> tuple[str | None, str, str | None]:
    """Find the first refused object, the key that holds it, and the key of the weights.

    The file's instructions are listed, not followed.
    """
    with zipfile.ZipFile(path) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        instructions = list(pickletools.genops(archive.read(name)))
    texts: list[str] = []
    options: str | None = None  # the key of the options that are being read
    found: tuple[str | None, str] | None = None
    for opcode, argument, _ in instructions:
        if opcode.name in ("BINUNICODE", "SHORT_BINUNICODE"):
            texts.append(str(argument))
        elif opcode.name == "BUILD":
            options = None
        elif opcode.name == "GLOBAL":
            given = str(argument).replace(" ", ".")
            key = texts[-1] if texts else None
            if given == "argparse.Namespace":
                options = key
            elif given in refused and found is None:
                found = options or key, given
    key, culprit = found or (None, ", ".join(sorted(refused)))
    return key, culprit, next((each for each in _WEIGHTS_KEYS if each in texts), None)


def _refuse(path: Path, reason: str) -> BackboneError:
    return BackboneError(f"checkpoint {str(path)!r} {reason}")
