"""AdaptedModel: a frozen chain, a placement's adapters and a head."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from PIL.Image import Image
from torch import Tensor, nn

from autoplace.adapters import check_adapters, create_adapter
from autoplace.backbones import ResidualChain
from autoplace.model._schedule import Pass, Schedule
from autoplace.placement import Edge, EdgeKind, Placement


class AdaptedModel(nn.Module):
    """A backbone with adapters on the edges of a placement, and a linear classification head.

    Only adapters and head are trainable. A fresh model's logits are those of the frozen chain
    under the same head, bit for bit. In pass t node j receives A(h_i) of the same pass from
    feed-forward edges and A(h_i) of pass t-1 from recurrent ones; a sequential edge reads its
    node before anything is added to it (Nowak et al. 2024, section 4).

    Raises PlacementError where the placement does not fit the backbone.

    Parameters
    ----------
    chain
        The frozen backbone.
    placement
        Where adapters go; empty for head-only.
    classes
        Names of the classes, in the order of the logits.

    Attributes
    ----------
    transform
        RGB PIL image to tensor (3, height, width); set on models that `autoplace.load` returns.
    """

    transform: Callable[[Image], Tensor]

    def __init__(
        self, chain: ResidualChain, placement: Placement, classes: tuple[str, ...]
    ) -> None:
        super().__init__()
        placement.check(chain.n_nodes)
        check_adapters(placement)
        self.chain = chain
        self.placement = placement
        self.classes = classes
        self.adapters = nn.ModuleDict(
            {str(edge): create_adapter(spec, chain.dim) for edge, spec in placement}
        )
        self.head = nn.Linear(chain.num_features, len(classes))
        self._full = Schedule.full(placement, chain.n_nodes)
        self._suffix = Schedule.suffix(placement, chain.n_nodes)

    @property
    def frozen_nodes(self) -> tuple[int, ...]:
        """The nodes whose frozen activations `forward_suffix` asks for."""
        return self._suffix.frozen_nodes

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, 3, height, width); returns logits (batch, classes)."""
        return self._run(self._full, {0: self.chain.embed(images)})

    def forward_suffix(self, frozen: Mapping[int, Tensor]) -> Tensor:
        """The same logits from the frozen chain's own activations.

        frozen: for each of `frozen_nodes` the chain's value (batch, tokens, dim), no adapters.
        """
        return self._run(self._suffix, frozen)

    def trainable_state(self) -> dict[str, Tensor]:
        """Adapter and head tensors by name, without the frozen chain."""
        return {
            name: tensor
            for name, tensor in self.state_dict().items()
            if not name.startswith("chain.")
        }

    def load_trainable_state(self, state: Mapping[str, Tensor]) -> None:
        """Take adapters and head from `trainable_state`. Raises RuntimeError on a mismatch."""
        expected, given = set(self.trainable_state()), set(state)
        if expected != given:
            raise RuntimeError(f"adapter tensors differ from the placement: {expected ^ given}")
        self.load_state_dict(dict(state), strict=False)

    def _run(self, schedule: Schedule, frozen: Mapping[int, Tensor]) -> Tensor:
        values: dict[int, Tensor] = {}
        for current in schedule.passes:
            values = self._run_pass(current, frozen, previous=values)
        logits: Tensor = self.head(self.chain.features(values[self.chain.n_nodes - 1]))
        return logits

    def _run_pass(
        self, current: Pass, frozen: Mapping[int, Tensor], previous: Mapping[int, Tensor]
    ) -> dict[int, Tensor]:
        """Values after injection of the nodes start..end."""
        values: dict[int, Tensor] = {}
        for node in range(current.start, current.end + 1):
            before = values.get(node - 1)
            raw = frozen[node] if before is None else self.chain.step(node, before)
            injected = raw
            for edge in current.injections(node):
                source = _source_value(edge, raw, values, previous, frozen)
                injected = injected + self.adapters[str(edge)](source)
            values[node] = injected
        return values


def _source_value(
    edge: Edge,
    raw: Tensor,
    values: Mapping[int, Tensor],
    previous: Mapping[int, Tensor],
    frozen: Mapping[int, Tensor],
) -> Tensor:
    match edge.kind:
        case EdgeKind.SEQUENTIAL:
            return raw
        case EdgeKind.RECURRENT:
            computed = previous
        case _:
            computed = values
    return computed[edge.source] if edge.source in computed else frozen[edge.source]


@torch.no_grad()
def frozen_activations(
    chain: ResidualChain, embedded: Tensor, nodes: Collection[int]
) -> dict[int, Tensor]:
    """The frozen chain's values (batch, tokens, dim) at `nodes`, run no further than needed.

    embedded: (batch, tokens, dim), node 0, as `chain.embed` gives it.
    """
    hidden = embedded
    found = {}
    for node in range(max(nodes) + 1):
        if node:
            hidden = chain.step(node, hidden)
        if node in nodes:
            found[node] = hidden
    return found
