"""Population: several placements on one chain, trained side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor, nn

from autoplace.model._adapted import AdaptedModel
from autoplace.model._run import Reading, run_together
from autoplace.model._stacks import Formula, Slot, Stacks
from autoplace.placement import Edge


class Population(nn.Module):
    """Copies of the adapters and heads of models of one chain, stacked.

    The frozen sub-layers see the rows of all members as one batch, adapters of one kind at one
    node act on their slices by batched products, and each member has a head of its own. What a
    member computes is what its model would have computed, up to rounding.

    Parameters
    ----------
    models
        On the same chain with the same classes, each at the state to start from; not changed.
    cohorts
        Of each model, say its learning rate: only members of one cohort share tensors.
    """

    def __init__(self, models: Sequence[AdaptedModel], cohorts: Sequence[Hashable]) -> None:
        super().__init__()
        self._models = list(models)  # in a list, so that they are no part of this module
        self._slots: dict[tuple[int, Edge | None], Slot] = {}  # by member and edge; None: its head
        self._cohorts: dict[Hashable, Hashable] = {}  # by stack
        modules: dict[Slot, nn.Module] = {}
        formulas: dict[Hashable, Formula] = {}
        for member, (model, cohort) in enumerate(zip(models, cohorts, strict=True)):
            for edge, spec in model.placement:
                slot = Slot((cohort, spec), edge.target, (member, edge))
                modules[slot] = adapter = model.adapter(edge)
                self._slots[member, edge] = slot
                formulas.setdefault(slot.stack, adapter.together)
                self._cohorts[slot.stack] = cohort
            slot = Slot((cohort, "head"), 0, (member, "head"))
            modules[slot] = model.head
            self._slots[member, None] = slot
            formulas.setdefault(slot.stack, _heads)
            self._cohorts[slot.stack] = cohort
        self._stacks = Stacks(modules, formulas)

    @property
    def frozen_nodes(self) -> list[tuple[int, ...]]:
        """Of each member, the nodes whose frozen activations it asks for."""
        return [model.frozen_nodes for model in self._models]

    def parameters_by_cohort(self) -> dict[Hashable, list[nn.Parameter]]:
        """The trained tensors of each cohort."""
        found: defaultdict[Hashable, list[nn.Parameter]] = defaultdict(list)
        for stack, cohort in self._cohorts.items():
            found[cohort] += self._stacks.parameters_of(stack)
        return dict(found)

    def forward(
        self, frozen: Sequence[Mapping[int, Tensor]], members: Sequence[int]
    ) -> list[Tensor]:
        """Logits (batch, classes) of some members.

        frozen: for each of them the chain's values (batch, tokens, dim) at its frozen nodes.
        """
        stacks, chain = self._stacks.open(), self._models[0].chain

        def adapt(readings: Sequence[Reading]) -> list[Tensor]:
            return stacks.apply(
                [(self._slots[members[each.member], each.edge], each.source) for each in readings]
            )

        schedules = [self._models[member].suffix for member in members]
        last = run_together(chain, schedules, frozen, adapt)
        features = chain.features(torch.cat(last)).split([len(each) for each in last])
        heads = [self._slots[member, None] for member in members]
        return stacks.apply(list(zip(heads, features, strict=True)))

    def trainable_state(self, member: int) -> dict[str, Tensor]:
        """A copy of a member's tensors, named as in `AdaptedModel.trainable_state`."""
        state: dict[str, Tensor] = {}
        for (owner, edge), slot in self._slots.items():
            if owner == member:
                prefix = "head" if edge is None else f"adapters.{edge}"
                named = self._stacks.state(slot).items()
                state |= {f"{prefix}.{name}": tensor for name, tensor in named}
        return state


def _heads(parameters: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """Several linear heads, each on its own (batch, features)."""
    return torch.baddbmm(parameters["bias"][:, None], features, parameters["weight"].mT)
