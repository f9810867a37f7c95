"""The norm and the linear maps of a sub-layer: read from a backbone, replaced in a copy of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

from autoplace.backbones._chain import ResidualChain
from autoplace.backbones._error import BackboneError
from autoplace.backbones._open_chain import NORMS, qkv_map, use_one_map
from autoplace.backbones._shape import Site, SubLayer
from autoplace.backbones._sublayers import is_post_norm


@dataclass(frozen=True)
class LinearMap:
    """Weight and bias of a linear map, or of a norm.

    Parameters
    ----------
    weight : Tensor of shape (outputs, inputs), or (dim,) of a norm
        As in `nn.Linear` and `nn.LayerNorm`.
    bias : Tensor of shape (outputs,), or None
        None if there is no bias.

    Examples
    --------
    >>> import torch
    >>> changed = LinearMap(torch.eye(2)).scaled(torch.tensor([2.0, 3.0])).plus(bias=torch.ones(2))
    >>> changed.weight.tolist(), changed.bias.tolist()
    ([[2.0, 0.0], [0.0, 3.0]], [1.0, 1.0])
    """

    weight: Tensor
    bias: Tensor | None = None

    def scaled(self, scale: Tensor) -> Self:
        """Multiply each output by a number."""
        weight = self.weight * (scale if self.weight.ndim == 1 else scale[:, None])
        return type(self)(weight, None if self.bias is None else self.bias * scale)

    def plus(self, weight: Tensor | None = None, bias: Tensor | None = None) -> Self:
        """Add to the weight and to the bias."""
        if self.bias is not None and bias is not None:
            bias = self.bias + bias
        return type(self)(
            self.weight if weight is None else self.weight + weight,
            self.bias if bias is None else bias,
        )


class SubLayerMaps(dict[Site, LinearMap]):
    """The norm and the linear maps of a sub-layer, by site.

    Attributes
    ----------
    after_norm : Site or None
        The map that reads what the norm gives; None if there is no such map, or if something else
        reads it as well, as in gated attention.

    Raises
    ------
    BackboneError
        If a map is asked for that the sub-layer does not have.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> maps = read_maps(create_chain("starter"), 1)
    >>> {site.value: tuple(part.weight.shape) for site, part in maps.items()}
    {'norm': (96,), 'qkv': (288, 96), 'o': (96, 96)}
    >>> maps.after_norm.value
    'qkv'
    """

    after_norm: Site | None = None

    def __missing__(self, site: Site) -> LinearMap:
        raise BackboneError(f"this sub-layer of the backbone has no map '{site}' to fold into")


def read_maps(chain: ResidualChain, k: int) -> SubLayerMaps:
    """Read the maps of a sub-layer.

    Parameters
    ----------
    chain : ResidualChain
        The backbone; it is not changed.
    k : int
        Number of the sub-layer: that between nodes k - 1 and k.

    Returns
    -------
    SubLayerMaps
        The maps that the sub-layer has. Queries, keys and values are one map, also in a backbone
        that has three.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> read_maps(create_chain("starter"), 2)[Site.FC1].bias.shape
    torch.Size([384])
    """
    block, sublayer = chain.model.blocks[(k - 1) // 2], SubLayer.before(k)
    maps, norm = SubLayerMaps(), getattr(block, NORMS[sublayer])
    weight = getattr(_plain(norm), "weight", None)
    if weight is not None:
        maps[Site.NORM] = LinearMap(weight, getattr(norm, "bias", None))
    if sublayer is SubLayer.ATTENTION:
        modules = {Site.QKV: qkv_map(block.attn), Site.O: block.attn.proj}
        first, gated = Site.QKV, getattr(block.attn, "gate", None) is not None
    else:
        modules = {site: getattr(block.mlp, site, None) for site in (Site.FC1, Site.FC2)}
        first, gated = Site.FC1, False
    for site, module in modules.items():
        if isinstance(module, nn.Linear):
            maps[site] = LinearMap(module.weight, module.bias)
    if first in maps and not gated and not is_post_norm(block):
        maps.after_norm = first
    return maps


def replace_maps(
    chain: ResidualChain, changed: Mapping[int, Mapping[Site, LinearMap]]
) -> ResidualChain:
    """Copy a backbone and replace maps in the copy.

    Parameters
    ----------
    chain : ResidualChain
        The backbone; it is not changed.
    changed : mapping of int to (mapping of Site to LinearMap)
        The new maps, by number of the sub-layer. A map may have a bias where the backbone has
        none.

    Returns
    -------
    ResidualChain
        The copy. Its model is still one of timm's.

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> chain = create_chain("starter")
    >>> nothing = read_maps(chain, 2)[Site.FC2].scaled(torch.zeros(96))
    >>> without_mlp = replace_maps(chain, {2: {Site.FC2: nothing}})
    >>> hidden = torch.randn(2, 17, 96)
    >>> torch.equal(without_mlp.step(2, hidden), hidden)
    True
    """
    model: Any = copy.deepcopy(chain.model)
    for k, maps in changed.items():
        block, sublayer = model.blocks[(k - 1) // 2], SubLayer.before(k)
        for site, new in maps.items():
            if site is Site.NORM:
                _write_norm(block, NORMS[sublayer], new)
                continue
            if site is Site.QKV:
                use_one_map(block.attn)
            part, name = _MODULES[site]
            _set(getattr(getattr(block, part), name), new.weight, new.bias)
    return ResidualChain(model, name=chain.name, data_config=chain.data_config)


_MODULES = {
    Site.QKV: ("attn", "qkv"),
    Site.O: ("attn", "proj"),
    Site.FC1: ("mlp", "fc1"),
    Site.FC2: ("mlp", "fc2"),
}


class _ShiftedNorm(nn.Module):
    """A norm that knows no bias of its own (RMSNorm), followed by one."""

    def __init__(self, norm: nn.Module, bias: nn.Parameter) -> None:
        super().__init__()
        self.norm = norm
        self.bias = bias

    def forward(self, hidden: Tensor) -> Tensor:
        normalised: Tensor = self.norm(hidden)
        return normalised + self.bias


def _plain(norm: Any) -> Any:
    return norm.norm if isinstance(norm, _ShiftedNorm) else norm


def _write_norm(block: Any, name: str, new: LinearMap) -> None:
    norm = getattr(block, name)
    plain = _plain(norm)
    if isinstance(plain, nn.LayerNorm) or new.bias is None:
        _set(plain, new.weight, new.bias)
    else:
        _set(plain, new.weight, None)
        setattr(block, name, _ShiftedNorm(plain, _parameter(new.bias)))


def _set(module: Any, weight: Tensor, bias: Tensor | None) -> None:
    module.weight = _parameter(weight)
    if bias is not None:
        module.bias = _parameter(bias)


def _parameter(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach().clone(), requires_grad=False)
