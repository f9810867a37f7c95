"""Frozen adapters beside trained ones, and one adapter that computes the sum of the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from autoplace.adapters import Adapter, adapter_config, create_adapter
from autoplace.backbones import Site
from autoplace.model import AdaptedModel, Reading, SiteReading, Trainable
from autoplace.placement import AdapterSpec, Edge, PlacementError
from autoplace.procedures._base import ProcedureError
from autoplace.procedures._mergeable import RANK, SCALE, folded, hidden_layers


class WithKnowledge(Trainable):
    """A model that is trained with frozen adapters beside its own on some edges.

    Parameters
    ----------
    model : AdaptedModel
        Trained in place.
    frozen : mapping of Edge to Adapter
        Adapters that are added to those of the model.
    """

    def __init__(self, model: AdaptedModel, frozen: Mapping[Edge, Adapter]) -> None:
        super().__init__()
        self.model = model
        self.frozen = nn.ModuleDict({str(edge): adapter for edge, adapter in frozen.items()})

    @property
    def frozen_nodes(self) -> tuple[int, ...]:
        return self.model.frozen_nodes

    def forward_suffix(self, frozen: Mapping[int, Tensor]) -> Tensor:
        return self.model.run(self.model.suffix, frozen, self)

    def sites(self, member: int, edge: Edge) -> Sequence[Site]:
        """See `Adapters`."""
        return self.model.sites(member, edge)

    def extra_tokens(self, member: int, edge: Edge) -> int:
        """See `Adapters`."""
        return self.model.extra_tokens(member, edge)

    def add(self, readings: Sequence[Reading]) -> list[Tensor]:
        """See `Adapters`."""
        added = self.model.add(readings)
        for number, reading in enumerate(readings):
            if str(reading.edge) in self.frozen:
                added[number] = added[number] + self._frozen(reading.edge)(reading.source)
        return added

    def change(self, site: Site, readings: Sequence[SiteReading]) -> list[Tensor]:
        """See `Adapters`."""
        changed = self.model.change(site, readings)
        for number, reading in enumerate(readings):
            if str(reading.edge) in self.frozen:
                frozen = self._frozen(reading.edge)(site, reading.given, reading.output)
                changed[number] = changed[number] + (frozen - reading.output)
        return changed

    def insert(self, readings: Sequence[Reading]) -> list[Tensor]:
        """See `Adapters`."""
        return self.model.insert(readings)

    def remove(self, member: int, edge: Edge, hidden: Tensor) -> Tensor:
        """See `Adapters`."""
        return self.model.remove(member, edge, hidden)

    def _frozen(self, edge: Edge) -> Adapter:
        return cast(Adapter, self.frozen[str(edge)])


def joined_spec(spec: AdapterSpec, names: Iterable[str]) -> AdapterSpec:
    """Return the spec of an adapter with the hidden units of two adapters of a spec.

    Parameters
    ----------
    spec : AdapterSpec
        Kind and options.
    names : iterable of str
        Names of the adapter's parameters.

    Raises
    ------
    ProcedureError
        If an adapter of this kind does not have hidden units that can be put together.

    Examples
    --------
    >>> print(joined_spec(AdapterSpec.parse("lora:r=4"), ["q.a", "q.b", "v.a", "v.b"]))
    lora:alpha=16,r=8
    """
    try:
        hidden_layers(spec.kind, names)
    except PlacementError as error:
        raise ProcedureError(f"{error}; use kappa=none") from error
    options = vars(adapter_config(spec))
    twice = {RANK: 2 * options[RANK]}
    if "alpha" in options:  # the output is scaled by alpha / r
        twice["alpha"] = 2 * options["alpha"]
    return AdapterSpec.of(spec.kind, **dict(spec.options) | twice)


@torch.no_grad()
def joined_model(model: AdaptedModel, frozen: Mapping[Edge, Adapter]) -> AdaptedModel:
    """Return a model whose adapters compute the sum of trained and frozen ones.

    Parameters
    ----------
    model : AdaptedModel
        With the trained adapters.
    frozen : mapping of Edge to Adapter
        The frozen adapters of some of its edges, of the same kinds and options.

    Returns
    -------
    AdaptedModel
        On these edges, ranks are twice as high. It shares everything else with the given model.
    """
    items, adapters = [], {}
    for edge, spec in model.placement:
        adapters[str(edge)] = own = model.adapter(edge)
        if edge in frozen:
            names = dict(own.named_parameters())
            spec = joined_spec(spec, names)
            with torch.device("meta"):  # draws no random numbers for what is replaced
                wide = create_adapter(spec, edge, model.chain.shape)
            wide.load_state_dict(_joined(spec.kind, own, frozen[edge]), assign=True)
            adapters[str(edge)] = wide
        items.append((edge, spec))
    with torch.device("meta"):
        joined = AdaptedModel(
            model.chain, replace(model.placement, items=tuple(items)), model.classes
        )
    joined.adapters = nn.ModuleDict(adapters)
    joined.head = model.head
    return joined.train(model.training)


def _joined(kind: str, own: Adapter, frozen: Adapter) -> dict[str, Tensor]:
    """Tensors of an adapter with the hidden units of both; output biases add up."""
    ours, theirs = (folded(dict(each.named_parameters())) for each in (own, frozen))
    joined: dict[str, Tensor] = {
        name: ours[name] + theirs[name] for name in ours if name == "up.bias"
    }
    joined |= {name: ours[name] for name in ours if name == SCALE}
    for layer in hidden_layers(kind, ours):
        for name in layer.reads:
            joined[name] = torch.cat([ours[name], theirs[name]])
        joined[layer.writes] = torch.cat([ours[layer.writes], theirs[layer.writes]], dim=1)
    return joined
