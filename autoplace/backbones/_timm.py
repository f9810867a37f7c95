"""Backbones from timm, with weights from the hub, from a local file, or random."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from autoplace.backbones._checkpoint import fit_state, read_checkpoint
from autoplace.backbones._error import BackboneError
from autoplace.backbones._hub import load_from_hub
from autoplace.backbones._registry import list_packaged
from autoplace.backbones._sublayers import split_blocks


def build_timm(name: str, *, checkpoint: str | Path | None, pretrained: bool) -> nn.Module:
    """Create a timm model; a checkpoint takes precedence over the hub.

    The name and the architecture are checked before any weights are read.

    Raises
    ------
    BackboneError
        If the name is unknown, the model is not a residual chain, or the weights cannot be
        downloaded or read or do not fit.
    """
    split_blocks(build_on_meta(name), name)
    if checkpoint is not None:
        return _load_local(name, checkpoint)
    return load_from_hub(name) if pretrained else timm.create_model(name)


def build_on_meta(name: str) -> Any:
    """Create the architecture without memory for its weights.

    Raises
    ------
    BackboneError
        If the name is unknown.
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise _unknown(name, timm.list_models())
    if tag:
        tagged = timm.list_models(f"{architecture}.*", pretrained=True)
        if name not in tagged:
            raise _unknown(name, [*tagged, architecture])
    with torch.device("meta"):
        return timm.create_model(name)


def _load_local(name: str, checkpoint: str | Path) -> nn.Module:
    """Create the model with the classifier of the checkpoint, or without one if it has none."""
    state = read_checkpoint(checkpoint)
    classifier = timm.get_pretrained_cfg_value(name, "classifier") or "head"
    head = classifier if isinstance(classifier, str) else classifier[0]
    weight = state.get(f"{head}.weight")
    n_classes = 0 if weight is None else weight.shape[0]
    model = timm.create_model(name, num_classes=n_classes)
    fit_state(model, state, name=name, origin=f"checkpoint {str(checkpoint)!r}")
    return model


def _unknown(name: str, known: list[str]) -> BackboneError:
    packaged = [backbone.name for backbone in list_packaged()]
    near = difflib.get_close_matches(name, [*packaged, *known], n=3)
    suggestion = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return BackboneError(f"unknown backbone {name!r}; {suggestion}'autoplace backbones' lists all.")
