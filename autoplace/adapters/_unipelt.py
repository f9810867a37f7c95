"""UniPELT (Mao et al. 2022, arXiv 2110.07577): gated LoRA, prefix and bottleneck together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoplace.adapters._base import RankConfig, SubLayerAdapter, sublayer_of
from autoplace.adapters._prefix import check_extra_tokens, new_table
from autoplace.adapters._registry import register_adapter
from autoplace.adapters._sites import check_sites
from autoplace.backbones import BackboneShape, Site, SubLayer
from autoplace.placement import Edge, PlacementError

_SPREAD = 0.02
_REDUCTION = 16
# Letters of the maps that LoRA changes: the gate of each.
_OWN_GATES = {"qv": {"q": "gate_q", "v": "gate_v"}, "qk": {"q": "gate_qk", "k": "gate_qk"}}


@dataclass(frozen=True)
class UnipeltConfig(RankConfig):
    """Options of UniPELT.

    Parameters
    ----------
    r : int, default=8
        Rank of LoRA in attention.
    length : int, default=10
        Tokens whose keys and values are learned in attention; 0 leaves the prefix out.
    r_adapter : int or "auto", default="auto"
        Width of the bottleneck after an MLP; `auto` is a sixteenth of the stream's width.
    maps : {"qv", "qk"}, default="qv"
        What LoRA changes: queries and values with a gate each, as in the authors' code, or
        queries and keys with one gate, as in the paper's figure.
    gate : {"own", "central"}, default="own"
        In attention: a gate for each part, or the authors' central gate, which divides 1 between
        LoRA and the prefix.

    Raises
    ------
    PlacementError
        If a value is not allowed.

    Examples
    --------
    >>> UnipeltConfig(r=4)
    UnipeltConfig(r=4, length=10, r_adapter='auto', maps='qv', gate='own')
    """

    length: int = 10
    r_adapter: int | str = "auto"
    maps: str = "qv"
    gate: str = "own"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.length, int) or self.length < 0:
            raise PlacementError(f"length={self.length} must be a whole number of at least 0")
        width = self.r_adapter
        if width != "auto" and (not isinstance(width, int) or width < 1):
            raise PlacementError(f"r_adapter={width} must be auto or a whole number of at least 1")
        if self.maps not in _OWN_GATES:
            raise PlacementError(f"UniPELT's maps={self.maps} must be qv or qk")
        if self.gate not in ("own", "central"):
            raise PlacementError(f"UniPELT's gate={self.gate} must be own or central")
        if self.gate == "central" and not self.length:
            raise PlacementError("UniPELT's gate=central needs a prefix; give a length above 0")

    def width(self, shape: BackboneShape) -> int:
        """Return the width of the bottleneck."""
        if isinstance(self.r_adapter, int):
            return self.r_adapter
        return max(1, shape.dim // _REDUCTION)

    def gates(self, sublayer: SubLayer) -> dict[str, int]:
        """Name the gates of an edge, each with the number of its outputs."""
        if sublayer is SubLayer.MLP:
            return {"gate_adapter": 1}
        if self.gate == "central":
            return {"gate_central": 2}
        prefix = {"gate_prefix": 1} if self.length else {}
        return dict.fromkeys(_OWN_GATES[self.maps].values(), 1) | prefix


@register_adapter("unipelt")
class Unipelt(SubLayerAdapter):
    """Gated LoRA and prefix in attention; a gated bottleneck after an MLP.

    A gate is the mean over tokens of `sigmoid(x w + b)`: one number for each image. In attention
    it reads what attention reads; LoRA adds `gate · B A x`, and the learned keys and values are
    multiplied by their gate. After an MLP with output h it reads h; `gate · up(relu(down(h)))` is
    added to h before the residual. A gate of 0 does not undo a prefix: keys of zero take a share
    of the softmax. The optional central gate of an attention, `softmax(mean(relu(x W + b)))`, has
    two outputs: the first stands for the gates of LoRA, the second for that of the prefix.

    Parameters
    ----------
    config : UnipeltConfig
        Options.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        A parallel edge.

    References
    ----------
    Mao et al. 2022, "UniPELT: A Unified Framework for Parameter-Efficient Language Model Tuning"
    (arXiv 2110.07577); for an encoder of images in the style of it. The prefix is a table that
    is trained directly, see `Prefix`.

    Examples
    --------
    >>> shape = BackboneShape.plain(768)
    >>> [Unipelt.parameters_at(Unipelt.Config(), shape, edge) for edge in (Edge(0, 1), Edge(1, 2))]
    [42243, 75313]
    """

    Config = UnipeltConfig
    paper = "Mao et al. 2022, arXiv 2110.07577"

    def __init__(self, config: UnipeltConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        sublayer = sublayer_of(edge)
        self._lora_gates = _OWN_GATES[config.maps]
        self._is_central = config.gate == "central"
        self._width = shape.attention
        for name, n_outputs in config.gates(sublayer).items():
            self.add_module(name, _normal(nn.Linear(shape.dim, n_outputs)))
        if sublayer is SubLayer.MLP:
            self.sites = (Site.FC2,)
            width = config.width(shape)
            self.down = _normal(nn.Linear(shape.dim, width))
            self.up = _normal(nn.Linear(width, shape.dim))
            return
        self.sites = (Site.QKV, Site.KV) if config.length else (Site.QKV,)
        self.extra_tokens = config.length
        for letter in config.maps:
            # nn.Linear starts as LoRA's A does.
            self.add_module(f"{letter}_a", nn.Linear(shape.dim, config.r, bias=False))
            self.add_module(f"{letter}_b", nn.Linear(config.r, shape.attention, bias=False))
            nn.init.zeros_(self.get_parameter(f"{letter}_b.weight"))
        if config.length:
            self.table = new_table(config.length, shape)

    @classmethod
    def parameters_at(cls, config: UnipeltConfig, shape: BackboneShape, edge: Edge) -> int:
        sublayer = sublayer_of(edge)
        gates = sum(config.gates(sublayer).values()) * (shape.dim + 1)
        if sublayer is SubLayer.MLP:
            width = config.width(shape)
            return gates + 2 * shape.dim * width + width + shape.dim
        lora = len(config.maps) * config.r * (shape.dim + shape.attention)
        return gates + lora + config.length * 2 * shape.attention

    @classmethod
    def check(cls, config: UnipeltConfig, shape: BackboneShape, edge: Edge) -> None:
        super().check(config, shape, edge)
        if sublayer_of(edge) is SubLayer.ATTENTION and config.length:
            try:
                check_extra_tokens(shape)
            except PlacementError as error:
                raise PlacementError(f"{error}, or leave the prefix out with length=0") from error
        if sublayer_of(edge) is SubLayer.MLP:
            check_sites([Site.FC2], shape, edge)

    @classmethod
    def maps_at(cls, config: UnipeltConfig, edge: Edge) -> tuple[str, ...]:
        if sublayer_of(edge) is SubLayer.MLP:
            return Site.FC2.maps
        return (*config.maps, *(Site.KV.maps if config.length else ()))

    def together(
        self, parameters: Mapping[str, Tensor], site: Site, given: Tensor, output: Tensor
    ) -> Tensor:
        match site:
            case Site.QKV:
                return output + self._lora(parameters, given)
            case Site.KV:
                table = parameters["table"][:, None]
                return (self.gate(parameters, "gate_prefix", given) * table).to(output.dtype)
            case _:
                return output + self._bottleneck(parameters, output)

    def gate(self, parameters: Mapping[str, Tensor], name: str, seen: Tensor) -> Tensor:
        """Compute a gate (adapters, batch, 1, 1) from (adapters, batch, tokens, dim)."""
        is_central = self._is_central and name != "gate_adapter"
        key = "gate_central" if is_central else name
        weight, bias = parameters[f"{key}.weight"], parameters[f"{key}.bias"]
        logits = torch.baddbmm(bias[:, None], seen.flatten(1, 2), weight.mT)
        logits = logits.view(*seen.shape[:3], -1)
        if not is_central:
            return torch.sigmoid(logits).mean(dim=2, keepdim=True)
        shares = functional.relu(logits).mean(dim=2, keepdim=True).softmax(-1)
        return shares[..., 1:] if name == "gate_prefix" else shares[..., :1]

    def _lora(self, parameters: Mapping[str, Tensor], given: Tensor) -> Tensor:
        """What is added to queries, keys and values (adapters, batch, tokens, 3 * width)."""
        rows = given.flatten(1, 2)
        gates = {
            name: self.gate(parameters, name, given)
            for name in dict.fromkeys(self._lora_gates.values())
        }
        parts = []
        for letter in "qkv":
            if letter in self._lora_gates:
                a, b = parameters[f"{letter}_a.weight"], parameters[f"{letter}_b.weight"]
                added = ((rows @ a.mT) @ b.mT).view(*given.shape[:3], self._width)
                parts.append(gates[self._lora_gates[letter]] * added)
            else:
                parts.append(given.new_zeros(*given.shape[:3], self._width))
        return torch.cat(parts, dim=-1)

    def _bottleneck(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        rows = hidden.flatten(1, 2)
        down, up = parameters["down.bias"][:, None], parameters["up.bias"][:, None]
        narrow = functional.relu(torch.baddbmm(down, rows, parameters["down.weight"].mT))
        wide = torch.baddbmm(up, narrow, parameters["up.weight"].mT).view_as(hidden)
        return self.gate(parameters, "gate_adapter", hidden) * wide


def _normal(linear: nn.Linear) -> nn.Linear:
    """Draw the weights from N(0, 0.02) and set the bias to zero."""
    nn.init.normal_(linear.weight, std=_SPREAD)
    nn.init.zeros_(linear.bias)
    return linear
