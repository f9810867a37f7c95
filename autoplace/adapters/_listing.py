"""What there is to know of every adapter kind, for people and programs."""

from __future__ import annotations

from dataclasses import dataclass, fields

from autoplace.adapters._budget import edge_parameters
from autoplace.adapters._registry import adapter_class, list_adapters
from autoplace.backbones import BackboneShape
from autoplace.placement import AdapterSpec, Edge, EdgeKind, PlacementError

_PLACES = {
    "attention": Edge(0, 1),
    "mlp": Edge(1, 2),
    "embedding": Edge(0, 0),
    "elsewhere": Edge(0, 4),
}


@dataclass(frozen=True)
class AdapterInfo:
    """An adapter kind.

    Attributes
    ----------
    name : str
        Name in placements and for `--adapter`.
    options : dict of str to (int or float or str)
        Options with their defaults.
    parameters : dict of str to int
        Trainable parameters with these options on one edge of ViT-B/16, where the kind can be: on
        a parallel edge around `attention` or around an `mlp`, at the `embedding` (0>0), or
        `elsewhere`.
    edge_kinds : list of str
        Edges that the kind can serve.
    mergeable : bool
        Whether a trained adapter can be folded into the weights of the backbone.
    paper : str
        Where it was published.

    Examples
    --------
    >>> (info,) = describe_adapters("lora")
    >>> info.options, info.parameters
    ({'r': 8, 'alpha': 8, 'maps': 'auto'}, {'attention': 24576, 'mlp': 30720})
    """

    name: str
    options: dict[str, int | float | str]
    parameters: dict[str, int]
    edge_kinds: list[str]
    mergeable: bool
    paper: str


def describe_adapters(pattern: str = "*") -> list[AdapterInfo]:
    """Describe the adapter kinds whose names match a shell pattern.

    Examples
    --------
    >>> [info.name for info in describe_adapters("bottle*")]
    ['bottleneck']
    """
    return [_describe(name) for name in list_adapters(pattern)]


def _describe(name: str) -> AdapterInfo:
    kind, shape = adapter_class(name), BackboneShape.plain(768, heads=12)
    config = kind.Config()
    counts = {}
    for place, edge in _PLACES.items():
        try:
            kind.check(config, shape, edge)
        except PlacementError:
            continue
        counts[place] = edge_parameters(AdapterSpec(name), edge, shape)
    if "elsewhere" in counts:
        counts.pop("embedding", None)
    return AdapterInfo(
        name,
        {field.name: getattr(config, field.name) for field in fields(config)},
        counts,
        [str(each) for each in EdgeKind if each in kind.edge_kinds],
        kind.mergeable,
        kind.paper,
    )
