"""The registry of adapter kinds: register, list, and create from a spec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from fnmatch import filter as fnmatch_filter
from typing import TypeVar

from autoplace.adapters._base import Adapter, AdapterConfig
from autoplace.placement import AdapterSpec, Placement, PlacementError

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
    >>> list_adapters()
    ['bottleneck', 'linear']
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
    AdapterConfig(r=4)
    """
    config_class = adapter_class(spec.kind).Config
    known = {field.name for field in fields(config_class)}
    for name, _ in spec.options:
        if name not in known:
            raise PlacementError(
                f"adapter kind '{spec.kind}' has no option '{name}'; "
                f"its options: {', '.join(sorted(known))}"
            )
    return config_class(**dict(spec.options))  # type: ignore[arg-type]


def create_adapter(spec: AdapterSpec, dim: int) -> Adapter:
    """Create a new adapter, which outputs 0.

    Parameters
    ----------
    spec : AdapterSpec
        Kind and options.
    dim : int
        Width of the residual stream.

    Returns
    -------
    Adapter
        The adapter; its initial weights are drawn from torch's global generator.

    Raises
    ------
    PlacementError
        If the kind or an option is unknown, or a value is not allowed.

    Examples
    --------
    >>> from autoplace.placement import AdapterSpec
    >>> create_adapter(AdapterSpec.of("linear", r=2), dim=6)
    Linear(
      (down): Linear(in_features=6, out_features=2, bias=False)
      (up): Linear(in_features=2, out_features=6, bias=False)
    )
    """
    return adapter_class(spec.kind)(adapter_config(spec), dim)


def check_adapters(placement: Placement) -> None:
    """Check the adapter kinds and options of a placement.

    Parameters
    ----------
    placement : Placement
        Edges with their adapters.

    Raises
    ------
    PlacementError
        If a kind or an option is unknown, or a value is not allowed.

    Examples
    --------
    >>> from autoplace.placement import Placement, PlacementError
    >>> check_adapters(Placement.parse("0>1@bottleneck:r=8"))
    >>> try:
    ...     check_adapters(Placement.parse("0>1@bottlenek:r=8"))
    ... except PlacementError as error:
    ...     print(error)
    unknown adapter kind 'bottlenek'; did you mean 'bottleneck'? known kinds: bottleneck, linear
    """
    for spec in {spec for _, spec in placement}:
        adapter_config(spec)
