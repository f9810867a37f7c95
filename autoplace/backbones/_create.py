"""`create_chain`: from the name of a backbone to a frozen residual chain with its weights."""

from __future__ import annotations

from pathlib import Path

from autoplace.backbones._chain import ResidualChain
from autoplace.backbones._checkpoint import fit_state, read_checkpoint
from autoplace.backbones._registry import find_packaged
from autoplace.backbones._shipped import STARTER
from autoplace.backbones._timm import build_timm


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
        read weights-only. For a timm backbone its classifier may be missing or have any number
        of classes.
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
        model = build_timm(name, checkpoint=checkpoint, pretrained=pretrained)
        return ResidualChain(model, name=name)
    model, data_config = packaged.build()
    if checkpoint is not None:
        state = read_checkpoint(checkpoint)
        fit_state(model, state, name=name, origin=f"checkpoint {str(checkpoint)!r}")
    elif pretrained:
        packaged.load(model)
    return ResidualChain(model, name=name, data_config=data_config)
