"""Population: several adapted models on one chain, trained side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from autoplace.adapters import (
    Adapter,
    BatchPart,
    StreamAdapter,
    SubLayerAdapter,
    TokenAdapter,
    group_of,
    is_inside,
)
from autoplace.backbones import OpenChain, Site
from autoplace.model._adapted import AdaptedModel
from autoplace.model._run import Reading, SiteReading, run_together
from autoplace.model._stacks import Formula, OpenStacks, Slot, Stacks
from autoplace.placement import Edge


class Population(nn.Module):
    """Stacked copies of the adapters and heads of several models on one chain.

    The frozen sub-layers process the rows of all members as one batch. Adapters of one kind at
    one node use batched products, and each member has its own head. Each member computes what
    its model would compute alone, up to rounding.

    Parameters
    ----------
    models : sequence of AdaptedModel
        Models on the same chain with the same classes, in the state to start from. They are not
        changed.
    cohorts : sequence of hashable
        Group of each model, for example its learning rate. Only members of the same group share
        tensors.

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.model import frozen_activations
    >>> from autoplace.placement import Placement
    >>> chain = create_chain("starter")
    >>> placements = [Placement.parse("20>22"), Placement.parse("23>24")]
    >>> models = [AdaptedModel(chain, placement, ("cat", "dog")) for placement in placements]
    >>> population = Population(models, cohorts=[0.001, 0.001])
    >>> population.frozen_nodes
    [(20, 22), (23, 24)]
    >>> embedded = chain.embed(torch.randn(4, 3, 32, 32))
    >>> frozen = [frozen_activations(chain, embedded, nodes) for nodes in population.frozen_nodes]
    >>> logits = population(frozen, members=[0, 1])
    >>> torch.allclose(logits[0], models[0].forward_suffix(frozen[0]), atol=1e-5)
    True
    """

    def __init__(self, models: Sequence[AdaptedModel], cohorts: Sequence[Hashable]) -> None:
        super().__init__()
        self._models = list(models)  # in a list, so that they are not submodules
        self._slots: dict[tuple[int, Edge | None], Slot] = {}  # by member and edge (None: head)
        # Cohort and adapter kind of each stack; heads have no kind.
        self._groups: dict[Hashable, tuple[Hashable, str | None]] = {}
        self._adapters: dict[Hashable, Adapter] = {}  # one of each stack, for its formula
        modules: dict[Slot, nn.Module] = {}
        for member, (model, cohort) in enumerate(zip(models, cohorts, strict=True)):
            for edge, spec in model.placement:
                adapter = model.adapter(edge)
                # One that draws random numbers is on its own, so as to draw what it draws alone.
                own = (member, edge) if adapter.draws else None
                slot = Slot((cohort, *group_of(spec, edge), own), edge.target, (member, edge))
                modules[slot] = adapter
                self._slots[member, edge] = slot
                self._adapters.setdefault(slot.stack, adapter)
                self._groups[slot.stack] = (cohort, spec.kind)
            slot = Slot((cohort, "head"), 0, (member, "head"))
            modules[slot] = model.head
            self._slots[member, None] = slot
            self._groups[slot.stack] = (cohort, None)
        self._stacks = Stacks(modules)
        specs = {spec for model in self._models for _, spec in model.placement}
        chain = self._models[0].chain
        # In a tuple, so that the backbone is not a submodule.
        self._chain = (OpenChain(chain) if any(map(is_inside, specs)) else chain,)

    @property
    def frozen_nodes(self) -> list[tuple[int, ...]]:
        """For each member, the nodes whose frozen activations it needs."""
        return [model.frozen_nodes for model in self._models]

    def parameters_by_group(self) -> dict[tuple[Hashable, str | None], list[nn.Parameter]]:
        """Return the trainable tensors of each cohort and adapter kind; of heads, for None."""
        parameters: defaultdict[tuple[Hashable, str | None], list[nn.Parameter]]
        parameters = defaultdict(list)
        for stack, group in self._groups.items():
            parameters[group] += self._stacks.parameters_of(stack)
        return dict(parameters)

    def train(self, mode: bool = True) -> Self:
        """Set training mode or evaluation mode, also of the adapters."""
        for adapter in self._adapters.values():
            adapter.train(mode)
        return super().train(mode)

    def start_step(self, step: int, parts: Mapping[int, BatchPart] | None = None) -> None:
        """Start a training step, or a part of each member's batch; see `Adapter.start_step`."""
        for (member, edge), slot in self._slots.items():
            if edge is not None:  # one that draws is the only one of its stack
                self._adapters[slot.stack].start_step(step, (parts or {}).get(member))

    def forward(
        self, frozen: Sequence[Mapping[int, Tensor]], members: Sequence[int]
    ) -> list[Tensor]:
        """Compute the logits of some members.

        Parameters
        ----------
        frozen : sequence of mapping of int to Tensor of shape (batch, tokens, dim)
            For each of these members, the chain's values at its frozen nodes. Batches may
            differ in size.
        members : sequence of int
            Numbers of the members.

        Returns
        -------
        list of Tensor of shape (batch, classes)
            Logits of each of these members.
        """
        stacks, (chain,) = self._stacks.open(), self._chain
        adapters = _Members(stacks, self._slots, self._adapters, members)
        schedules = [self._models[member].suffix for member in members]
        last = run_together(chain, schedules, frozen, adapters)
        features = torch.split(chain.features(torch.cat(last)), [len(h) for h in last])
        heads = [self._slots[member, None] for member in members]
        inputs = [(head, (own,)) for head, own in zip(heads, features, strict=True)]
        return stacks.apply(inputs, lambda stack: _heads)

    def trainable_state(
        self, member: int, of: Callable[[Tensor], Tensor] = lambda parameter: parameter
    ) -> dict[str, Tensor]:
        """Return copies of a member's tensors, named as in `AdaptedModel.trainable_state`.

        Parameters
        ----------
        member : int
            Number of the member.
        of : callable, optional
            Maps a stacked parameter to a tensor of its shape, such as a moment of an optimiser,
            of which the member's part is returned instead.
        """
        state: dict[str, Tensor] = {}
        names = self._models[member].trainable_state()
        for (owner, edge), slot in self._slots.items():
            if owner == member:
                prefix = "head" if edge is None else f"adapters.{edge}"
                named = self._stacks.state(slot, of).items()
                state |= {f"{prefix}.{name}": tensor for name, tensor in named}
        return {name: tensor for name, tensor in state.items() if name in names}


class _Members:
    """The adapters of some members in one forward pass; see `Adapters`."""

    def __init__(
        self,
        stacks: OpenStacks,
        slots: Mapping[tuple[int, Edge | None], Slot],
        adapters: Mapping[Hashable, Adapter],
        members: Sequence[int],
    ) -> None:
        self._stacks = stacks
        self._slots = slots
        self._adapters = adapters
        self._members = members

    def sites(self, member: int, edge: Edge) -> Sequence[Site]:
        return self._inside(self._slot(member, edge).stack).sites

    def extra_tokens(self, member: int, edge: Edge) -> int:
        return self._inside(self._slot(member, edge).stack).extra_tokens

    def add(self, readings: Sequence[Reading]) -> list[Tensor]:
        inputs = [(self._slot(r.member, r.edge), (r.source,)) for r in readings]
        return self._stacks.apply(inputs, self._adding)

    def insert(self, readings: Sequence[Reading]) -> list[Tensor]:
        return self.add(readings)

    def remove(self, member: int, edge: Edge, hidden: Tensor) -> Tensor:
        adapter = self._adapters[self._slot(member, edge).stack]
        assert isinstance(adapter, TokenAdapter)
        return adapter.remove(hidden)

    def change(self, site: Site, readings: Sequence[SiteReading]) -> list[Tensor]:
        inputs = [(self._slot(r.member, r.edge), (r.given, r.output)) for r in readings]
        return self._stacks.apply(inputs, lambda stack: self._changing(stack, site))

    def _slot(self, member: int, edge: Edge) -> Slot:
        return self._slots[self._members[member], edge]

    def _adding(self, stack: Hashable) -> Formula:
        adapter = self._adapters[stack]
        assert isinstance(adapter, StreamAdapter | TokenAdapter)
        return adapter.together

    def _changing(self, stack: Hashable, site: Site) -> Formula:
        adapter = self._inside(stack)
        return lambda parameters, given, output: adapter.together(parameters, site, given, output)

    def _inside(self, stack: Hashable) -> SubLayerAdapter:
        adapter = self._adapters[stack]
        assert isinstance(adapter, SubLayerAdapter)
        return adapter


def _heads(parameters: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """Apply several linear heads, each to its own features (batch, features)."""
    return torch.baddbmm(parameters["bias"][:, None], features, parameters["weight"].mT)
