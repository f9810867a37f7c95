"""Reading a local weights file, and fitting it to a model with an error that names the keys."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from autoplace.backbones._error import BackboneError

# Where training scripts keep the weights inside a torch file, best first.
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
_SHOWN_KEYS = 2


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name from a safetensors file, or from a torch file read weights-only.

    Raises BackboneError if the file is missing, cannot be read or holds no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise BackboneError(f"checkpoint {str(path)!r} does not exist or is no file")
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
            "save the model's state dict alone, best as safetensors"
        ) from error
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise BackboneError(
            f"checkpoint {str(path)!r} holds no state dict (tensors by name);\n"
            "save the model's state dict alone, best as safetensors"
        )
    return {key.removeprefix("module."): tensor for key, tensor in content.items()}


def fit_state(model: nn.Module, state: Mapping[str, Tensor], *, name: str, origin: str) -> None:
    """Load `state` into `model`; every key must be there and have the right shape.

    `name` is the backbone's and `origin` the weights', for the message of the BackboneError that
    lists the first few keys that are missing, unexpected or of another shape.
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
