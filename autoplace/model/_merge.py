"""Merging: trained adapters are folded into the weights of a copy of the backbone."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from autoplace.adapters import SubLayerAdapter
from autoplace.backbones import LinearMap, Site, read_maps, replace_maps
from autoplace.errors import UserError
from autoplace.model._adapted import AdaptedModel
from autoplace.placement import Edge, Placement

# Largest absolute difference of logits, or relative where they exceed 1.
_TOLERANCE = 1e-5
_IMAGES = 4


@dataclass(frozen=True)
class MergedModel:
    """An adapted model some of whose adapters have become part of the backbone.

    Parameters
    ----------
    model : AdaptedModel
        The merged backbone, the head, and the adapters that could not be folded.
    folded : tuple of Edge
        Edges whose adapters are part of the backbone now.
    difference : float
        Largest absolute difference between the logits before and after, on random images.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.placement import Placement
    >>> placement = Placement.parse("2>3@lora:r=2")
    >>> merged = merge_adapters(AdaptedModel(create_chain("starter"), placement, ("cat", "dog")))
    >>> merged.complete
    True
    """

    model: AdaptedModel
    folded: tuple[Edge, ...]
    difference: float

    @property
    def complete(self) -> bool:
        """Whether no adapter is left, so that the model costs what its backbone and head cost."""
        return not len(self.model.placement)


def merge_adapters(model: AdaptedModel) -> MergedModel:
    """Fold adapters into the weights of a copy of the backbone, where that is exact.

    An adapter is folded if its kind is `mergeable` and the sub-layer that it is in allows it; the
    others are kept. The model that is returned computes the same logits, which is checked on
    random images. The given model is not changed.

    Parameters
    ----------
    model : AdaptedModel
        A trained model with float32 weights.

    Returns
    -------
    MergedModel
        The merged model in evaluation mode, and the edges that were folded, which may be none.

    Raises
    ------
    UserError
        If the logits differ by more than rounding.

    Notes
    -----
    A merged model is not saved: save the model that was trained (`save_adapted`), and merge again
    after loading it. On a GPU, the logits agree only if products have full float32 precision; with
    TF32, move the model to the CPU before.

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.placement import Placement
    >>> placement = Placement.parse("2>3@lora:r=2+0>7@bottleneck:r=8")
    >>> model = AdaptedModel(create_chain("starter"), placement, ("cat", "dog")).eval()
    >>> merged = merge_adapters(model)
    >>> merged.folded, str(merged.model.placement)
    ((Edge(source=2, target=3),), '0>7@bottleneck:r=8')
    >>> images = torch.randn(2, 3, 32, 32)
    >>> torch.allclose(merged.model(images), model(images), atol=1e-5)
    True
    """
    found = {edge: _folded_maps(model, edge) for edge in model.placement.edges}
    changed = {edge: maps for edge, maps in found.items() if maps is not None}
    chain = replace_maps(model.chain, {edge.target: maps for edge, maps in changed.items()})
    kept = tuple(item for item in model.placement if item[0] not in changed)
    merged = model.on_backbone(chain, Placement(kept, model.placement.unroll)).eval()
    difference, allowed = _compare(model, merged)
    if not difference <= allowed:
        edges = "+".join(map(str, changed))
        raise UserError(
            f"merging edges {edges} changes the logits by {difference:.1e}, more than rounding "
            f"({allowed:.1e}); use the model without merging"
        )
    return MergedModel(merged, tuple(changed), difference)


@torch.no_grad()
def _folded_maps(model: AdaptedModel, edge: Edge) -> dict[Site, LinearMap] | None:
    """Return the maps that an adapter and its sub-layer become; None if it must be kept."""
    adapter = model.adapter(edge)
    if not isinstance(adapter, SubLayerAdapter) or not adapter.mergeable:
        return None
    maps = read_maps(model.chain, edge.target)
    before = dict(maps)
    try:
        adapter.fold(maps)
    except UserError:  # not exact in this sub-layer
        return None
    return {site: new for site, new in maps.items() if new is not before[site]}


@torch.no_grad()
def _compare(model: AdaptedModel, merged: AdaptedModel) -> tuple[float, float]:
    """Return the largest difference between logits on random images, and the one allowed."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(_IMAGES, *model.chain.data_config["input_size"], generator=generator)
    images = images.to(model.head.weight)
    training = model.training
    before = model.eval()(images)
    model.train(training)
    difference = (merged(images) - before).abs().max().item()
    return difference, _TOLERANCE * max(1.0, before.abs().max().item())
