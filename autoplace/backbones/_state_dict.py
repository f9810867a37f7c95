"""Find a backbone's tensors in what trainers save: wrappers, averages, prefixes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

# Keys under which the weights are saved, in order of preference. Averages of the weights come
# first: they are what published figures are of, and DINO's teacher is such an average.
_AVERAGES = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict"),
    *("ema_model", "ema", "teacher", "target_encoder"),
)
_PLAIN = (
    *("state_dict", "model", "model_state_dict", "model_state", "module", "net", "network"),
    *("encoder", "backbone", "student", "weights", "params"),
)
_AVERAGED = re.compile(r"(^|[._])(ema|teacher|target)([._]|$)")
# What torch.compile, FSDP, activation checkpoints and PEFT insert into names.
_INSERTED = re.compile(
    r"\b(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|base_layer)\."
)
_CHUNK = re.compile(r"\bblocks\.\d+\.(\d+)\.")  # DINOv2's trainer saves blocks in chunks
# Every backbone has these; what is before them is a prefix.
_ANCHORS = ("patch_embed.proj.weight", "blocks.0.norm1.weight")
# Prefixes of files with other names, which timm converts later.
_WRAPPERS = ("module.", "model.", "backbone.", "base_model.")


def find_state(content: Any) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors of a backbone by the names that the backbone gave them.

    Parameters
    ----------
    content : Any
        What a weights file holds.

    Returns
    -------
    state : dict of str to Tensor
        Empty if there are no tensors.
    notes : list of str
        What was chosen and what was left out.
    """
    path: list[str] = []
    while (key := _next_key(content)) is not None:
        path.append(key)
        content = content[key]
    notes = [f"its averaged weights ('{key}') are used" for key in path if key in _AVERAGES]
    if not isinstance(content, Mapping):
        return {}, notes
    state = {
        _CHUNK.sub(r"blocks.\1.", _INSERTED.sub("", key)): tensor
        for key, tensor in content.items()
        if isinstance(key, str) and isinstance(tensor, Tensor)
    }
    prefix = _find_prefix(state)
    if _AVERAGED.search(prefix):
        notes.append(f"its averaged weights ('{prefix}…') are used")
    inside = {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
    outside = [key for key in state if not key.startswith(prefix)]
    if outside:
        notes.append(f"left out: {summarise(outside)}")
    return inside, notes


def summarise(keys: list[str]) -> str:
    """Name the modules that tensors belong to, and say how many tensors there are."""
    modules = list(dict.fromkeys(key.partition(".")[0] for key in keys))
    shown = ", ".join(modules[:4]) + (", …" if len(modules) > 4 else "")
    return f"{shown} ({len(keys)} tensor{'s' if len(keys) > 1 else ''})"


def _next_key(content: Any) -> str | None:
    """Return the key under which the weights are, if they are not here."""
    if not isinstance(content, Mapping):
        return None
    return next((k for k in (*_AVERAGES, *_PLAIN) if _has_tensors(content.get(k))), None)


def _has_tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and any(
        isinstance(item, Tensor) or _has_tensors(item) for item in value.values()
    )


def _find_prefix(state: Mapping[str, Tensor]) -> str:
    """Return the prefix of the backbone's names; of several backbones, that of the averaged one."""
    anchor, other = _ANCHORS
    prefixes = [
        key.removesuffix(anchor)
        for key in state
        if key.endswith(anchor) and key.removesuffix(anchor) + other in state
    ]
    averaged = [prefix for prefix in prefixes if _AVERAGED.search(prefix)]
    if prefixes:
        return (averaged or prefixes)[0]
    prefix, found = "", True
    while found and state:
        found = False
        for wrapper in _WRAPPERS:
            if all(key.startswith(prefix + wrapper) for key in state):
                prefix, found = prefix + wrapper, True
    return prefix
