"""`create_chain`: from a backbone's name to a frozen residual chain with its weights."""

from __future__ import annotations

from pathlib import Path

from autoplace.backbones._chain import ResidualChain
from autoplace.backbones._checkpoint import fit_state, read_checkpoint
from autoplace.backbones._starter import (
    STARTER,
    STARTER_DATA_CONFIG,
    build_starter,
    load_starter,
)
from autoplace.backbones._timm import build_timm


def create_chain(
    name: str = STARTER, *, checkpoint: str | Path | None = None, pretrained: bool = True
) -> ResidualChain:
    """Create a backbone as a frozen residual chain.

    Parameters
    ----------
    name
        `starter` (shipped), `saliency-vits14` (needs the extra `saliency`), or any timm name,
        with or without a weights tag (`vit_tiny_patch16_224.augreg_in21k`).
    checkpoint
        A local weights file, used instead of the hub: safetensors, or a torch file, which is
        read weights-only. Its classifier may be missing or have any number of classes.
    pretrained
        False gives random weights, drawn from torch's global generator.

    Raises BackboneError for an unknown name (near names are suggested), a model that is no
    residual chain, and weights that cannot be reached, read or fitted.
    """
    if name != STARTER:
        model = build_timm(name, checkpoint=checkpoint, pretrained=pretrained)
        return ResidualChain(model, name=name)
    model = build_starter()
    if checkpoint is not None:
        state = read_checkpoint(checkpoint)
        fit_state(model, state, name=name, origin=f"checkpoint {str(checkpoint)!r}")
    elif pretrained:
        load_starter(model)
    return ResidualChain(model, name=name, data_config=dict(STARTER_DATA_CONFIG))
