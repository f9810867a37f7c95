"""The registry of adapter kinds: register, list, and create from a spec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from fnmatch import filter as fnmatch_filter
from typing import Any, TypeVar

from autoplace.adapters._base import (
    Adapter,
    AdapterConfig,
    RankConfig,
    SubLayerAdapter,
    sublayer_of,
)
from autoplace.adapters._token_adapter import TokenAdapter
from autoplace.backbones import BackboneShape, SubLayer
from autoplace.placement import AdapterSpec, Edge, Placement, PlacementError

AdapterT = TypeVar("AdapterT", bound=Adapter)

_KINDS: dict[str, type[Adapter]] = {}


def register_adapter(name: str) -> Callable[[type[AdapterT]], type[AdapterT]]:
    """Register an adapter kind under a name; a class decorator.

    Parameters
    ----------
    name : str
        Name of the kind in text forms and on the command line.

    Returns
    -------
    callable
        Decorator that returns the class unchanged.

    Raises
    ------
    ValueError
        If the name is taken; raised by the decorator.

    Examples
    --------
    The shipped kinds are registered like this. A name that is taken cannot be overwritten:

    >>> from autoplace.adapters import Bottleneck
    >>> @register_adapter("bottleneck")
    ... class Narrower(Bottleneck):
    ...     pass
    Traceback (most recent call last):
    ValueError: adapter kind 'bottleneck' is already registered; choose another name
    """

    def register(adapter: type[AdapterT]) -> type[AdapterT]:
        if name in _KINDS:
            raise ValueError(f"adapter kind '{name}' is already registered; choose another name")
        _KINDS[name] = adapter
        return adapter

    return register


def list_adapters(pattern: str = "*") -> list[str]:
    """List the names of adapter kinds.

    Parameters
    ----------
    pattern : str, default="*"
        Shell pattern that names must match.

    Returns
    -------
    list of str
        Names, sorted.

    Examples
    --------
    >>> list_adapters("bottle*")
    ['bottleneck']
    """
    return sorted(fnmatch_filter(_KINDS, pattern))


def adapter_class(kind: str) -> type[Adapter]:
    """Return the class of a kind.

    Raises
    ------
    PlacementError
        If the kind is unknown; the message suggests a similar name.

    Examples
    --------
    >>> adapter_class("bottleneck").__name__
    'Bottleneck'
    """
    if kind not in _KINDS:
        near = get_close_matches(kind, _KINDS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise PlacementError(
            f"unknown adapter kind '{kind}'; {hint}known kinds: {', '.join(list_adapters())}"
        )
    return _KINDS[kind]


def adapter_config(spec: AdapterSpec) -> AdapterConfig:
    """Check the options of a spec and return them as the kind's `Config`.

    Parameters
    ----------
    spec : AdapterSpec
        Kind and options; options that are not given take their defaults.

    Returns
    -------
    AdapterConfig
        Options with their types.

    Raises
    ------
    PlacementError
        If the kind or an option is unknown, or a value is not allowed.

    Examples
    --------
    >>> from autoplace.placement import AdapterSpec
    >>> adapter_config(AdapterSpec.parse("linear:r=4"))
    RankConfig(r=4)
    """
    config_class = adapter_class(spec.kind).Config
    known = {field.name for field in fields(config_class)}
    for name, _ in spec.options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            options = f"its options: {', '.join(sorted(known))}" if known else "it has none"
            raise PlacementError(
                f"adapter kind '{spec.kind}' has no option '{name}'; {hint}{options}"
            )
    given: dict[str, Any] = dict(spec.options)
    return config_class(**given)


def adapter_rank(spec: AdapterSpec) -> int | None:
    """Return the rank of an adapter; None if its kind has none.

    Examples
    --------
    >>> from autoplace.placement import AdapterSpec
    >>> adapter_rank(AdapterSpec.parse("linear:r=4"))
    4
    """
    config = adapter_config(spec)
    return config.r if isinstance(config, RankConfig) else None


def create_adapter(spec: AdapterSpec, edge: Edge, shape: BackboneShape) -> Adapter:
    """Create a new adapter.

    Parameters
    ----------
    spec : AdapterSpec
        Kind and options.
    edge : Edge
        The edge that it is on.
    shape : BackboneShape
        Sizes of the backbone.

    Returns
    -------
    Adapter
        The adapter; its initial weights are drawn from torch's global generator.

    Raises
    ------
    PlacementError
        If the kind or an option is unknown, a value is not allowed, or the kind cannot be on
        the edge.

    Examples
    --------
    >>> from autoplace.placement import AdapterSpec
    >>> shape = BackboneShape.plain(dim=6)
    >>> create_adapter(AdapterSpec.of("linear", r=2), Edge(7, 3), shape)
    Linear(
      (down): Linear(in_features=6, out_features=2, bias=False)
      (up): Linear(in_features=2, out_features=6, bias=False)
    )
    """
    kind, config = adapter_class(spec.kind), adapter_config(spec)
    kind.check(config, shape, edge)
    return kind(config, shape, edge)


def is_inside(spec: AdapterSpec) -> bool:
    """Whether a kind changes a sub-layer, instead of reading one node and adding to another.

    Examples
    --------
    >>> from autoplace.placement import AdapterSpec
    >>> is_inside(AdapterSpec.of("lora")), is_inside(AdapterSpec.of("bottleneck"))
    (True, False)
    """
    return issubclass(adapter_class(spec.kind), SubLayerAdapter)


def changed_maps(spec: AdapterSpec, edge: Edge) -> tuple[str, ...]:
    """Name the maps of a sub-layer that an adapter changes; none for a kind on the stream.

    Examples
    --------
    >>> from autoplace.placement import AdapterSpec
    >>> changed_maps(AdapterSpec.of("lora"), Edge(0, 1))
    ('q', 'v')
    >>> changed_maps(AdapterSpec.of("bottleneck"), Edge(0, 1))
    ()
    """
    kind = adapter_class(spec.kind)
    if not issubclass(kind, SubLayerAdapter):
        return ()
    return kind.maps_at(adapter_config(spec), edge)


def inserts_tokens(spec: AdapterSpec) -> bool:
    """Whether a kind puts tokens into the stream.

    Examples
    --------
    >>> from autoplace.placement import AdapterSpec
    >>> inserts_tokens(AdapterSpec.of("prompt")), inserts_tokens(AdapterSpec.of("prefix"))
    (True, False)
    """
    return issubclass(adapter_class(spec.kind), TokenAdapter)


def group_of(spec: AdapterSpec, edge: Edge) -> tuple[AdapterSpec, SubLayer | None]:
    """Return what adapters of one group have in common.

    The parameters of adapters of one group have the same shapes. In one placement, these adapters
    have those parameters in common that their kind names in `shared`.

    Returns
    -------
    tuple of (AdapterSpec, SubLayer or None)
        Kind and options, and the type of sub-layer if the adapter is inside one.

    Examples
    --------
    >>> from autoplace.placement import AdapterSpec
    >>> arc = AdapterSpec("arc")
    >>> group_of(arc, Edge(0, 1)) == group_of(arc, Edge(2, 3)) != group_of(arc, Edge(1, 2))
    True
    """
    return spec, sublayer_of(edge) if is_inside(spec) else None


def check_adapters(placement: Placement, shape: BackboneShape | None = None) -> None:
    """Check the adapter kinds and options of a placement.

    Parameters
    ----------
    placement : Placement
        Edges with their adapters.
    shape : BackboneShape or None, default=None
        Sizes of the backbone, to check as well that each kind can be on its edges.

    Raises
    ------
    PlacementError
        If a kind or an option is unknown, a value is not allowed, or a kind cannot be on an edge.

    Examples
    --------
    >>> from autoplace.placement import Placement, PlacementError
    >>> check_adapters(Placement.parse("0>1@bottleneck:r=8"))
    >>> try:
    ...     check_adapters(Placement.parse("0>1@bottlenek:r=8"))
    ... except PlacementError as error:
    ...     print(str(error).partition("known kinds")[0])
    unknown adapter kind 'bottlenek'; did you mean 'bottleneck'?
    """
    for edge, spec in placement:
        config = adapter_config(spec)
        if shape is not None:
            try:
                adapter_class(spec.kind).check(config, shape, edge)
            except PlacementError as error:
                raise PlacementError(f"{spec}: {error}") from error
