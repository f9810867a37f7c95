"""The published adapter systems as placements: which kind, and where it is in every block."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from autoplace.adapters._registry import list_adapters
from autoplace.backbones import SubLayer
from autoplace.placement import AdapterSpec, Edge, EdgeKind, Placement, PlacementError

_ATTENTION, _MLP = (SubLayer.ATTENTION,), (SubLayer.MLP,)
_BOTH = _ATTENTION + _MLP
# Of a sub-layer; kinds that change a sub-layer inside are on its parallel edge.
_AFTER, _BESIDE = EdgeKind.SEQUENTIAL, EdgeKind.PARALLEL


@dataclass(frozen=True)
class _Wiring:
    """The adapter of a system, and the sub-layers that it is after or beside in every block."""

    adapter: str
    edge_kind: EdgeKind
    sublayers: tuple[SubLayer, ...]
    paper: str

    @property
    def spec(self) -> AdapterSpec:
        return AdapterSpec.parse(self.adapter)

    def edges(self, n_nodes: int) -> list[Edge]:
        targets = [node for node in range(1, n_nodes) if SubLayer.before(node) in self.sublayers]
        return [Edge(node - (self.edge_kind is _BESIDE), node) for node in targets]


_WIRINGS = {
    "adaptable": _Wiring("bottleneck:act=rational,r=8", _AFTER, _MLP, "arXiv 2205.01549"),
    "adapter-plus": _Wiring("adapter-plus:r=8", _AFTER, _MLP, "arXiv 2406.06820"),
    "adapterbias": _Wiring("adapterbias", _BESIDE, _MLP, "arXiv 2205.00305"),
    "adaptformer": _Wiring("adaptformer:r=8", _BESIDE, _MLP, "arXiv 2205.13535"),
    "arc": _Wiring("arc", _BESIDE, _BOTH, "arXiv 2310.06234"),
    "bitfit": _Wiring("bitfit", _BESIDE, _BOTH, "arXiv 2106.10199"),
    "convpass": _Wiring("convpass:r=8", _BESIDE, _BOTH, "arXiv 2207.07039"),
    "convpass-attention": _Wiring("convpass:r=8", _BESIDE, _ATTENTION, "arXiv 2207.07039"),
    "houlsby": _Wiring("bottleneck:r=8", _AFTER, _BOTH, "arXiv 1902.00751"),
    "layernorm": _Wiring("layernorm", _BESIDE, _BOTH, "arXiv 2312.11420"),
    "lora": _Wiring("lora:r=8", _BESIDE, _ATTENTION, "arXiv 2106.09685"),
    "lora-qkv": _Wiring("lora:maps=qkv,r=8", _BESIDE, _ATTENTION, "arXiv 2106.09685"),
    "parallel-bottleneck": _Wiring(
        "bottleneck:act=relu,r=8,scale=4", _BESIDE, _MLP, "arXiv 2110.04366"
    ),
    "pfeiffer": _Wiring("bottleneck:act=relu,r=8", _AFTER, _MLP, "arXiv 2005.00247"),
    "prefix": _Wiring("prefix", _BESIDE, _ATTENTION, "arXiv 2101.00190"),
    "ssf": _Wiring("ssf", _BESIDE, _BOTH, "arXiv 2210.08823"),
    "tiny-attention": _Wiring("tiny-attention", _AFTER, _ATTENTION, "arXiv 2211.01979"),
    "unipelt": _Wiring("unipelt", _BESIDE, _BOTH, "arXiv 2110.07577"),
}


def list_wirings() -> list[str]:
    """List the published systems that `wiring` knows, by name.

    Returns
    -------
    list of str
        Names, sorted; without those whose adapter kind is not registered.

    Examples
    --------
    >>> {"houlsby", "lora-qkv", "pfeiffer"} <= set(list_wirings())
    True
    """
    registered = list_adapters()
    return sorted(name for name, known in _WIRINGS.items() if known.spec.kind in registered)


def wiring(name: str, n_nodes: int) -> Placement:
    """Return the placement of a published system: its adapter, in every block where it has one.

    Parameters
    ----------
    name : str
        One of `list_wirings`.
    n_nodes : int
        Nodes of the backbone.

    Returns
    -------
    Placement
        Ranks are 8, and other options are those of the paper; dropout and drop path are off.

    Raises
    ------
    PlacementError
        If the name is unknown; the message suggests a similar one.

    Notes
    -----
    Where the adapters are differs from some papers:

    - `houlsby`, `pfeiffer` and `adaptable`: the papers adapt the output of a sub-layer before the
      residual stream is added to it. Ours read the node, which is their sum, and add to it. They
      also have a norm without weights in front and no bias in the last layer.
    - `parallel-bottleneck` has the same norm where the paper reads what the MLP reads, and no bias
      in the last layer.
    - `adapter-plus`, `adaptformer`, `convpass` and `tiny-attention` are as published; Convpass has
      a norm without weights in place of the backbone's.
    - `adaptable` is the rational activation alone; there is no learnt switch.

    Examples
    --------
    >>> str(wiring("houlsby", n_nodes=5))
    '1>1+2>2+3>3+4>4@bottleneck:r=8'
    >>> str(wiring("adaptformer", n_nodes=5))
    '1>2+3>4@adaptformer:r=8'
    >>> try:
    ...     wiring("pfeifer", n_nodes=5)
    ... except PlacementError as error:
    ...     print(str(error).partition("known systems")[0])
    unknown adapter system 'pfeifer'; did you mean 'pfeiffer'?
    """
    known = list_wirings()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise PlacementError(
            f"unknown adapter system '{name}'; {hint}known systems: {', '.join(known)}"
        )
    return Placement.of(_WIRINGS[name].edges(n_nodes), _WIRINGS[name].spec)
