"""`create_chain`: from a backbone's name to a frozen residual chain with its weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from autoplace.backbones._chain import ResidualChain
from autoplace.backbones._checkpoint import fit_state, read_checkpoint
from autoplace.backbones._saliency import SALIENCY, build_saliency, load_saliency
from autoplace.backbones._shipped import SHIPPED, STARTER, build_shipped, load_shipped
from autoplace.backbones._timm import build_timm

# Backbones that are not in timm's registry: how to build one, and how to load its own weights.
_OURS: dict[
    str, tuple[Callable[[], tuple[nn.Module, dict[str, Any]]], Callable[[nn.Module], None]]
] = {
    **{name: (partial(build_shipped, name), partial(load_shipped, name)) for name in SHIPPED},
    SALIENCY: (build_saliency, load_saliency),
}


def create_chain(
    name: str = STARTER, *, checkpoint: str | Path | None = None, pretrained: bool = True
) -> ResidualChain:
    """Create a backbone as a frozen residual chain.

    Parameters
    ----------
    name
        A shipped one (`starter`, `formula-vit6`, `fashion-vit8`), `saliency-vits14` (needs the
        extra `saliency`), or any timm name, with or without a weights tag
        (`vit_tiny_patch16_224.augreg_in21k`).
    checkpoint
        A local weights file, used instead of the hub: safetensors, or a torch file, which is
        read weights-only. Its classifier may be missing or have any number of classes.
    pretrained
        False gives random weights, drawn from torch's global generator.

    Raises BackboneError for an unknown name (near names are suggested), a model that is no
    residual chain, and weights that cannot be reached, read or fitted.
    """
    if name not in _OURS:
        model = build_timm(name, checkpoint=checkpoint, pretrained=pretrained)
        return ResidualChain(model, name=name)
    build, load = _OURS[name]
    model, data_config = build()
    if checkpoint is not None:
        state = read_checkpoint(checkpoint)
        fit_state(model, state, name=name, origin=f"checkpoint {str(checkpoint)!r}")
    elif pretrained:
        load(model)
    return ResidualChain(model, name=name, data_config=data_config)
