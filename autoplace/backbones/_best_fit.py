"""The known backbone whose shapes fit a weights file best, for the error when one does not fit."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import timm
import torch
from timm.models import is_model_in_modules
from torch import Tensor

from autoplace.backbones._registry import list_packaged

# timm's modules of plain transformers, and the words that names have for a width.
_MODULES = {"beit", "deit", "eva", "vision_transformer", "vision_transformer_relpos"}
_SIZES = {
    192: ("tiny",),
    384: ("small",),
    768: ("base",),
    1024: ("large",),
    1280: ("huge",),
    1408: ("giant",),
    1536: ("giant", "gigantic"),
}
_TRANSFORMERS_LIBRARY = "encoder.layer.0."
_LATER_BLOCK = re.compile(r"blocks\.[1-9]")
_ENOUGH = 0.5  # share of tensors that agree, below which no backbone is named
_COMPARED = 8  # of the best, whose number of blocks is compared, too

_Shapes = frozenset[tuple[str, tuple[int, ...]]]


def describe_fit(state: Mapping[str, Tensor], name: str) -> str:
    """Advise on a file that does not fit a backbone.

    Parameters
    ----------
    state : mapping of str to Tensor
        The tensors of the file.
    name : str
        The backbone that they do not fit.
    """
    if any(_TRANSFORMERS_LIBRARY in key for key in state):
        return (
            "its names are those of the library transformers; give the weights of the same model "
            "in timm's form"
        )
    if any(".lora_" in key for key in state):
        return "merge its LoRA adapters into the weights first (in PEFT: merge_and_unload)"
    best = find_best_fit(state)
    if best is None:
        return "no known backbone has such shapes; 'autoplace backbones' lists what is supported"
    if best == name:
        return "most of its tensors are this backbone's; save the whole state dict again"
    return f"the shapes of backbone {best!r} fit best; pass --backbone {best}, or another file"


def find_best_fit(state: Mapping[str, Tensor]) -> str | None:
    """Return the name of the known backbone that has most of these names and shapes, if any."""
    given, n_blocks = _first_block(state), _count_blocks(state)
    scores: dict[str, float] = {}
    for backbone in list_packaged():
        architecture = backbone.build()[0].state_dict()
        if _count_blocks(architecture) == n_blocks:
            scores[backbone.name] = _agreement(given, _first_block(architecture))
    names = list(_timm_candidates(state))
    for name in names:
        # One block is built in a tenth of the time of the whole.
        with contextlib.suppress(Exception):  # some cannot be built with one block
            scores[name] = _agreement(given, _first_block(_build(name, depth=1)))
    ranked = sorted(scores, key=lambda name: (-scores[name], len(name), name))
    for name in ranked[:_COMPARED]:
        if scores[name] < _ENOUGH:
            break
        if name not in names or _count_blocks(_build(name)) == n_blocks:
            return name
    return None


def _timm_candidates(state: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield timm's transformers whose names say the patch size and the width of these tensors."""
    kernel = state.get("patch_embed.proj.weight")
    if kernel is None or kernel.ndim != 4:
        return
    patch, width = f"patch{kernel.shape[-1]}_", len(kernel)
    for name in timm.list_models():
        widths = [size for size, words in _SIZES.items() if any(f"_{w}_" in name for w in words)]
        fits = patch in name and width in (widths or [width])
        if (fits or name.startswith("test_")) and is_model_in_modules(name, _MODULES):
            yield name


def _build(name: str, **options: Any) -> dict[str, Tensor]:
    with torch.device("meta"):
        state: dict[str, Tensor] = timm.create_model(name, num_classes=0, **options).state_dict()
    return state


def _count_blocks(state: Mapping[str, Any]) -> int:
    return len({key.split(".")[1] for key in state if key.startswith("blocks.")})


def _first_block(state: Mapping[str, Tensor]) -> _Shapes:
    """Return names and shapes, without those of later blocks."""
    return frozenset(
        (key, tuple(tensor.shape)) for key, tensor in state.items() if not _LATER_BLOCK.match(key)
    )


def _agreement(given: _Shapes, expected: _Shapes) -> float:
    return len(given & expected) / len(given | expected)
