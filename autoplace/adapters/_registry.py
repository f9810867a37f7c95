"""The registry of adapter kinds: register, list with wildcards, create from a spec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from fnmatch import filter as fnmatch_filter

from autoplace.adapters._base import Adapter, AdapterConfig
from autoplace.placement import AdapterSpec, Placement, PlacementError

_KINDS: dict[str, type[Adapter]] = {}


def register_adapter(name: str) -> Callable[[type[Adapter]], type[Adapter]]:
    """Class decorator that makes an adapter kind known under `name`."""

    def register(adapter: type[Adapter]) -> type[Adapter]:
        _KINDS[name] = adapter
        return adapter

    return register


def list_adapters(pattern: str = "*") -> list[str]:
    """Names of the adapter kinds that match a shell pattern, sorted."""
    return sorted(fnmatch_filter(_KINDS, pattern))


def adapter_class(kind: str) -> type[Adapter]:
    """The class of a kind. Raises PlacementError that suggests near names and lists all."""
    if kind not in _KINDS:
        near = get_close_matches(kind, _KINDS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise PlacementError(
            f"unknown adapter kind '{kind}'; {hint}known kinds: {', '.join(list_adapters())}"
        )
    return _KINDS[kind]


def adapter_config(spec: AdapterSpec) -> AdapterConfig:
    """The typed options of a spec. Raises PlacementError for an option the kind does not have."""
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
    """Build a fresh adapter for a residual stream of `dim` channels."""
    return adapter_class(spec.kind)(adapter_config(spec), dim)


def check_adapters(placement: Placement) -> None:
    """Raise PlacementError where a placement names an unknown adapter kind or option."""
    for spec in {spec for _, spec in placement}:
        adapter_config(spec)
