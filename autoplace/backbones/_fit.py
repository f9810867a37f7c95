"""Whether tensors are those of a model, and loading them into it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from autoplace.backbones._error import BackboneError

_SHOWN_KEYS = 2


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
    complaints = find_complaints(model, state)
    if complaints:
        raise complain(origin, name, complaints, "reinstall the package that it is from")
    model.load_state_dict(dict(state))


def find_complaints(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return the keys that do not fit, by what is wrong with them."""
    expected = model.state_dict()
    common = [(key, state[key], tensor) for key, tensor in expected.items() if key in state]
    complaints = {
        "missing": sorted(expected.keys() - state.keys()),
        "unexpected": sorted(state.keys() - expected.keys()),
        "wrong shape": [
            f"{key} {tuple(given.shape)}, not {tuple(tensor.shape)}"
            for key, given, tensor in common
            if given.shape != tensor.shape
        ],
        "quantised": [
            key
            for key, given, tensor in common
            if tensor.is_floating_point() and not given.is_floating_point()
        ],
    }
    return {kind: keys for kind, keys in complaints.items() if keys}


def complain(
    origin: str, name: str, complaints: Mapping[str, list[str]], advice: str
) -> BackboneError:
    """Return the error that names the first few keys of each complaint."""
    found = "; ".join(f"{kind}: {_shorten(keys)}" for kind, keys in complaints.items())
    return BackboneError(f"{origin} does not fit backbone {name!r}: {found};\n{advice}")


def _shorten(keys: list[str]) -> str:
    more = len(keys) - _SHOWN_KEYS
    return ", ".join(keys[:_SHOWN_KEYS]) + (f" and {more} more" if more > 0 else "")
