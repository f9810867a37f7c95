"""LoRA (Hu et al. 2021, arXiv 2106.09685): low-rank changes of a sub-layer's own linear maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoplace.adapters._base import RankConfig, SubLayerAdapter, sublayer_of
from autoplace.adapters._registry import register_adapter
from autoplace.adapters._sites import check_sites
from autoplace.backbones import BackboneShape, Site, SubLayer, SubLayerMaps
from autoplace.placement import Edge, PlacementError

_AUTO = {SubLayer.ATTENTION: "qv", SubLayer.MLP: "u"}
_LETTERS = {SubLayer.ATTENTION: "qkvo", SubLayer.MLP: "ud"}
_SITES = {"o": Site.O, "u": Site.FC1, "d": Site.FC2}
_FUSED = "qkv"


@dataclass(frozen=True)
class LoraConfig(RankConfig):
    """Options of LoRA.

    Parameters
    ----------
    r : int, default=8
        Rank of each change.
    alpha : float, default=8
        Each change is scaled by alpha / r; 8 is PEFT's default.
    maps : str, default="auto"
        Which maps of the sub-layer change: letters of `q`, `k`, `v` and `o` (queries, keys,
        values, output) for attention, of `u` and `d` (up to the hidden layer, down from it) for
        an MLP. `auto` is `qv` for attention and `u` for an MLP. `qkv` together share one down
        projection, as PEFT's LoRA does on a fused map; all others have one each.

    Examples
    --------
    >>> LoraConfig(maps="qkv").r
    8
    """

    alpha: float = 8
    maps: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.alpha, int | float) or not 0 < self.alpha < math.inf:
            raise PlacementError(f"LoRA's alpha={self.alpha} must be a number above 0")
        letters = [sorted(set(self.maps)) == sorted(self.maps) and set(self.maps) <= set(known)
                   for known in _LETTERS.values()]  # fmt: skip
        if self.maps != "auto" and not any(letters):
            raise PlacementError(
                f"LoRA's maps={self.maps} must be auto, letters of qkvo (attention) or letters "
                "of ud (MLP), each once"
            )


@register_adapter("lora")
class Lora(SubLayerAdapter):
    """Adds `alpha / r · B A x` to the outputs of linear maps of a sub-layer; B starts at zero.

    Parameters
    ----------
    config : LoraConfig
        Options.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        A parallel edge.

    References
    ----------
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv 2106.09685).

    Examples
    --------
    >>> lora = Lora(Lora.Config(r=2, maps="qkv"), BackboneShape.plain(dim=6), Edge(0, 1))
    >>> {name: tuple(p.shape) for name, p in lora.named_parameters()}
    {'qkv.a': (2, 6), 'qkv.b': (18, 2)}
    >>> Lora.parameters_at(Lora.Config(r=8), BackboneShape.plain(768), Edge(0, 1)) * 12
    294912
    """

    Config = LoraConfig
    paper = "Hu et al. 2021, arXiv 2106.09685"
    mergeable = True

    def __init__(self, config: LoraConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        self._scale = config.alpha / config.r
        self._width = shape.attention
        self._maps = _maps(config, edge)
        self.sites = tuple(dict.fromkeys(_site(name) for name in self._maps))
        for name in self._maps:
            self.add_module(name, _Factors(config.r, *_widths(name, shape)))

    @classmethod
    def parameters_at(cls, config: LoraConfig, shape: BackboneShape, edge: Edge) -> int:
        return config.r * sum(sum(_widths(name, shape)) for name in _maps(config, edge))

    @classmethod
    def check(cls, config: LoraConfig, shape: BackboneShape, edge: Edge) -> None:
        super().check(config, shape, edge)
        sublayer = sublayer_of(edge)
        if config.maps != "auto" and not set(config.maps) <= set(_LETTERS[sublayer]):
            raise PlacementError(
                f"edge {edge} spans an {sublayer} sub-layer, which has no maps={config.maps}; "
                f"give letters of {_LETTERS[sublayer]}"
            )
        check_sites([_site(name) for name in _maps(config, edge)], shape, edge)

    @classmethod
    def maps_at(cls, config: LoraConfig, edge: Edge) -> tuple[str, ...]:
        named = {_FUSED: tuple(_FUSED)} | {name: site.maps for name, site in _SITES.items()}
        return tuple(each for name in _maps(config, edge) for each in named.get(name, (name,)))

    def together(
        self, parameters: Mapping[str, Tensor], site: Site, given: Tensor, output: Tensor
    ) -> Tensor:
        rows = given.flatten(1, 2)
        names = [name for name in self._maps if _site(name) is site]
        added = {
            name: (rows @ parameters[f"{name}.a"].mT) @ parameters[f"{name}.b"].mT for name in names
        }
        if site is Site.QKV and _FUSED not in added:
            parts = [added.get(letter, rows.new_zeros(*rows.shape[:2], self._width))
                     for letter in _FUSED]  # fmt: skip
            change = torch.cat(parts, dim=-1)
        else:
            (change,) = added.values()
        return torch.add(output, change.view_as(output), alpha=self._scale)

    def fold(self, maps: SubLayerMaps) -> None:
        for name in self._maps:
            factors, site = getattr(self, name), _site(name)
            change = self._scale * factors.b @ factors.a
            if site is Site.QKV and name != _FUSED:
                rows = [change if name == letter else torch.zeros_like(change) for letter in _FUSED]
                change = torch.cat(rows)
            maps[site] = maps[site].plus(weight=change)


class _Factors(nn.Module):
    """The two factors of one change: `a` reads, `b` writes."""

    def __init__(self, rank: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(rank, inputs))
        self.b = nn.Parameter(torch.zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))


def _maps(config: LoraConfig, edge: Edge) -> tuple[str, ...]:
    """Name the changes of an edge: one for queries, keys and values together, or one a letter."""
    letters = _AUTO[sublayer_of(edge)] if config.maps == "auto" else config.maps
    if set(_FUSED) <= set(letters):
        return (_FUSED, *sorted(set(letters) - set(_FUSED)))
    return tuple(sorted(letters))


def _site(name: str) -> Site:
    return _SITES.get(name, Site.QKV)


def _widths(name: str, shape: BackboneShape) -> tuple[int, int]:
    if name == _FUSED:
        return shape.dim, 3 * shape.attention
    if name in _FUSED:
        return shape.dim, shape.attention
    widths = shape.width_at(_site(name))
    assert widths is not None, f"{name} was not checked"
    return widths
