"""Backbones from timm, with weights from the hub, from a local file, or random."""

from __future__ import annotations

import difflib
from typing import Any

import timm
import torch
from torch import nn

from autoplace.backbones._checkpoint import Checkpoint
from autoplace.backbones._error import BackboneError
from autoplace.backbones._hub import load_from_hub
from autoplace.backbones._registry import list_packaged
from autoplace.backbones._sublayers import split_blocks


def check_timm(name: str) -> None:
    """Check name and architecture of a timm model; no weights are read.

    Raises
    ------
    BackboneError
        If the name is unknown, or the model is not a residual chain.
    """
    split_blocks(build_on_meta(name), name)


def build_timm(name: str, *, pretrained: bool) -> nn.Module:
    """Create a timm model with weights from the hub, or with random ones.

    Raises
    ------
    BackboneError
        If the weights cannot be downloaded.
    """
    return load_from_hub(name) if pretrained else timm.create_model(name)


def load_timm(name: str, checkpoint: Checkpoint) -> tuple[nn.Module, Checkpoint]:
    """Create a timm model with the classifier of a checkpoint, or without one if it has none.

    Returns
    -------
    model : Module
        The model with its weights.
    checkpoint : Checkpoint
        What of the checkpoint was loaded, with notes.

    Raises
    ------
    BackboneError
        If the weights do not fit.
    """
    classifier = timm.get_pretrained_cfg_value(name, "classifier") or "head"
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    fitted = checkpoint.fitted_to(build_on_meta(name), heads)
    n_classes = fitted.n_classes(heads)
    model = timm.create_model(name, num_classes=n_classes)
    if not n_classes:
        fitted = fitted.fitted_to(model)
    fitted.load_into(model, name=name)
    return model, fitted


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


def _unknown(name: str, known: list[str]) -> BackboneError:
    packaged = [backbone.name for backbone in list_packaged()]
    near = difflib.get_close_matches(name, [*packaged, *known], n=3)
    suggestion = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return BackboneError(f"unknown backbone {name!r}; {suggestion}'autoplace backbones' lists all.")
