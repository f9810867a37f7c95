"""Reading a local weights file and loading it into a model."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from autoplace.backbones._error import BackboneError

# Keys under which training scripts save the weights in a torch file, in order of preference.
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
_SHOWN_KEYS = 2


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Read tensors by name from a safetensors file, or weights-only from a torch file.

    Raises
    ------
    BackboneError
        If the file is missing, cannot be read or does not contain a state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise BackboneError(f"checkpoint {str(path)!r} does not exist or is not a file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _read_torch(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise BackboneError(
            f"checkpoint {str(path)!r} cannot be read as safetensors: {error}"
        ) from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise BackboneError(
            f"checkpoint {str(path)!r} cannot be read as a torch file of plain weights;\n"
            "save only the model's state dict, preferably as safetensors"
        ) from error
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise BackboneError(
            f"checkpoint {str(path)!r} does not contain a state dict of weights;\n"
            "save only the model's state dict, preferably as safetensors"
        )
    return {key.removeprefix("module."): tensor for key, tensor in content.items()}


def fit_state(model: nn.Module, state: Mapping[str, Tensor], *, name: str, origin: str) -> None:
    """Load a state dict into a model; the names and shapes must be those of the model.

    Parameters
    ----------
    model : Module
        Model to load into.
    state : mapping of str to Tensor
        Tensors by name.
    name : str
        Name of the backbone, for the error message.
    origin : str
        Where the tensors come from, for the error message.

    Raises
    ------
    BackboneError
        If a tensor is missing, unexpected or has another shape; the first few are named.
    """
    expected = model.state_dict()
    complaints = {
        "missing": sorted(expected.keys() - state.keys()),
        "unexpected": sorted(state.keys() - expected.keys()),
        "wrong shape": [
            f"{key} {tuple(state[key].shape)}, not {tuple(tensor.shape)}"
            for key, tensor in expected.items()
            if key in state and state[key].shape != tensor.shape
        ],
    }
    found = "; ".join(f"{kind}: {_shorten(keys)}" for kind, keys in complaints.items() if keys)
    if found:
        raise BackboneError(
            f"{origin} does not fit backbone {name!r}: {found}.\n"
            "Name the backbone that the file was saved from."
        )
    model.load_state_dict(dict(state))


def _shorten(keys: list[str]) -> str:
    more = len(keys) - _SHOWN_KEYS
    return ", ".join(keys[:_SHOWN_KEYS]) + (f" and {more} more" if more > 0 else "")
