"""`create_chain`: from the name of a backbone to a frozen residual chain with its weights."""

from __future__ import annotations

from pathlib import Path

from autoplace.backbones._chain import ResidualChain
from autoplace.backbones._checkpoint import read_checkpoint
from autoplace.backbones._registry import find_packaged
from autoplace.backbones._shipped import STARTER
from autoplace.backbones._timm import build_timm, check_timm, load_timm


def create_chain(
    name: str = STARTER, *, checkpoint: str | Path | None = None, pretrained: bool = True
) -> ResidualChain:
    """Create a backbone as a frozen residual chain.

    Parameters
    ----------
    name : str, default="starter"
        A shipped backbone (`starter`, `formula-vit6`, `fashion-vit8`), `saliency-vits14` (needs
        the extra `saliency`), or a timm name with or without a weights tag, such as
        `vit_tiny_patch16_224.augreg_in21k`.
    checkpoint : str or Path or None, default=None
        A local weights file, used instead of the hub: safetensors, or a torch file, which is
        read weights-only. Wrappers and prefixes of trainers are removed, averaged weights are
        preferred, position embeddings are resampled; heads, decoders and mask tokens are left
        out. The chain's `notes` say so.
    pretrained : bool, default=True
        Whether to load weights; False gives random weights from torch's global generator.

    Returns
    -------
    ResidualChain
        The chain, on the CPU.

    Raises
    ------
    BackboneError
        If the name is unknown (similar names are suggested), the model is not a residual chain,
        or the weights cannot be downloaded or read or do not fit.

    Examples
    --------
    >>> chain = create_chain("starter")
    >>> chain.name, chain.n_nodes, chain.dim
    ('starter', 25, 96)
    """
    packaged = find_packaged(name)
    if packaged is None:
        check_timm(name)  # before any weights are read
    found = None if checkpoint is None else read_checkpoint(checkpoint)
    if packaged is None:
        if found is None:
            return ResidualChain(build_timm(name, pretrained=pretrained), name=name)
        model, found = load_timm(name, found)
        return ResidualChain(model, name=name, notes=found.notes)
    model, data_config = packaged.build()
    if found is not None:
        found = found.fitted_to(model)
        found.load_into(model, name=name)
    elif pretrained:
        packaged.load(model)
    notes = found.notes if found else ()
    return ResidualChain(model, name=name, data_config=data_config, notes=notes)
