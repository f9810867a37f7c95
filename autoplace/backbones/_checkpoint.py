"""A user's weights file: read, converted to timm's names and sizes, and loaded into a model."""

from __future__ import annotations

import contextlib
import inspect
import io
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoplace.backbones._best_fit import describe_fit
from autoplace.backbones._error import BackboneError
from autoplace.backbones._fit import complain, find_complaints
from autoplace.backbones._state_dict import find_state, summarise
from autoplace.backbones._weights_file import read_weights_file

# Parts that change what the chain computes. A tensor of any other part (a head, a decoder, the mask
# token) is of no use here and is left out.
_CHAIN_PARTS = {
    *("patch_embed", "cls_token", "reg_token", "register_tokens", "dist_token", "pos_embed"),
    *("blocks", "norm", "norm_pre", "norm_embed", "fc_norm", "attn_pool", "rel_pos_bias"),
}


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a weights file; `read_checkpoint` makes it.

    Parameters
    ----------
    origin : str
        What the file is called in messages.
    state : dict of str to Tensor
        Tensors by name, without prefixes.
    notes : tuple of str
        What was chosen and what was left out, for the user.
    """

    origin: str
    state: dict[str, Tensor]
    notes: tuple[str, ...] = ()

    def fitted_to(self, model: Any, heads: Sequence[str] = ()) -> Checkpoint:
        """Convert names and sizes to those of a model, and leave out what it does not have.

        timm's own functions do this: they rename what other libraries name otherwise, and resample
        position embeddings that were made at another image size.

        Parameters
        ----------
        model : Module
            A timm model; it may be on the meta device.
        heads : sequence of str
            Its classifiers, which may have any number of classes.
        """
        state = _converted(self.state, model)
        expected = model.state_dict()
        surplus = [
            key
            for key in (*state, *({"mask_token"} & self.state.keys() - state.keys()))
            if key not in expected and key.partition(".")[0] not in _CHAIN_PARTS
        ]
        other_heads = [
            key
            for key in state
            if key.rpartition(".")[0] in heads and not _is_classifier(key, state, expected)
        ]
        left_out = dict.fromkeys([*surplus, *other_heads])
        notes = [f"left out: {summarise(list(left_out))}"] if left_out else []
        before, after = (_n_positions(each) for each in (self.state, state))
        if abs(before - after) > getattr(model, "num_prefix_tokens", 1):
            notes.append(f"position embeddings resampled from {before} to {after} tokens")
        kept = {key: tensor for key, tensor in state.items() if key not in left_out}
        return Checkpoint(self.origin, kept, (*self.notes, *notes))

    def n_classes(self, heads: Sequence[str]) -> int:
        """Return the number of classes of the classifiers; 0 if any of them is missing."""
        weights = [self.state.get(f"{head}.weight") for head in heads]
        if not weights or any(weight is None for weight in weights):
            return 0
        return min(len(weight) for weight in weights if weight is not None)

    def load_into(self, model: nn.Module, *, name: str) -> None:
        """Load the tensors into the model that they were fitted to.

        Raises
        ------
        BackboneError
            If a tensor is missing, unexpected or has another shape. The message names the backbone
            whose shapes fit best.
        """
        complaints = find_complaints(model, self.state)
        if complaints:
            raise complain(self.origin, name, complaints, describe_fit(self.state, name))
        model.load_state_dict(self.state)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read tensors by name from a safetensors file, or weights-only from a torch file.

    Raises
    ------
    BackboneError
        If the file is missing, cannot be read or does not contain weights.
    """
    state, notes = find_state(read_weights_file(Path(path)))
    origin = f"checkpoint {str(path)!r}"
    if not state:
        raise BackboneError(
            f"{origin} does not contain a state dict of weights;\n"
            "save only the model's state dict, preferably as safetensors"
        )
    return Checkpoint(origin, state, tuple(notes))


def _converted(state: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Apply the conversion that timm applies to published weights of the model."""
    module = sys.modules[type(model).__module__]
    convert = getattr(module, "checkpoint_filter_fn", None)
    patch, expected = (s.get("patch_embed.proj.weight") for s in (state, model.state_dict()))
    if convert is None or (
        # timm would resample patches of another size, but then the file is of another backbone.
        patch is not None
        and expected is not None
        and patch.ndim == 4
        and patch.shape[-2:] != expected.shape[-2:]
    ):
        return state
    options: dict[str, Any] = {}
    if "adapt_layer_scale" in inspect.signature(convert).parameters:
        options["adapt_layer_scale"] = True  # DeiT III's names of layer scales
    given = _aligned(state, model)
    if "register_tokens" in given:  # by the mask token timm recognises DINOv2
        given.setdefault("mask_token", torch.empty(0))
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # one of these functions prints
            converted: dict[str, Tensor] = convert(given, model, **options)
    # They expect weights of the model's family, and raise anything on others. What does not fit is
    # said later.
    except Exception:
        return state
    return converted


def _aligned(state: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Give position embeddings the model's layout: with or without those of prefix tokens.

    timm resamples the grid, but takes the layout for granted. No value of the stream changes: a
    prefix token without a position has one of zero, and where the model has no position for it, its
    position is added to the token itself.
    """
    state = dict(state)
    position, of_model = state.get("pos_embed"), getattr(model, "pos_embed", None)
    if position is None or of_model is None or "register_tokens" in state or position.ndim != 3:
        return state
    n_tokens, dim = position.shape[1:]
    n_prefix = getattr(model, "num_prefix_tokens", 1)
    wanted = 0 if getattr(model, "no_embed_class", False) else n_prefix
    if n_tokens == of_model.shape[1] or _is_square(n_tokens - wanted):
        return state
    for found in (0, 1, n_prefix):
        if not _is_square(n_tokens - found):
            continue
        prefix, grid = position[:, :found], position[:, found:]
        if wanted:
            missing = position.new_zeros(1, wanted - found, dim)
            state["pos_embed"] = torch.cat([prefix, missing, grid], dim=1)
        elif found <= 1 or "reg_token" in state:
            state["pos_embed"] = grid
            for token, part in (("cls_token", prefix[:, :1]), ("reg_token", prefix[:, 1:])):
                if part.shape[1] and token in state:
                    state[token] = state[token] + part
        break
    return state


def _is_square(number: int) -> bool:
    return number > 0 and math.isqrt(number) ** 2 == number


def _n_positions(state: Mapping[str, Tensor]) -> int:
    position = state.get("pos_embed")
    return 0 if position is None or position.ndim < 2 else position.shape[-2]


def _is_classifier(key: str, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    """Whether a tensor is that of the model's classifier, for any number of classes."""
    return key in expected and expected[key].shape[1:] == state[key].shape[1:]
