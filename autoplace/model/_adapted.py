"""AdaptedModel: a frozen chain, a placement's adapters and a head."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import cast

import torch
from PIL.Image import Image
from torch import Tensor, nn

from autoplace.adapters import Adapter, check_adapters, create_adapter
from autoplace.backbones import ResidualChain
from autoplace.model._run import Reading, run_together
from autoplace.model._schedule import Schedule
from autoplace.placement import Edge, Placement


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
    suffix
        The part of the network that a trainable weight can touch.
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
        self.suffix = Schedule.suffix(placement, chain.n_nodes)

    @property
    def frozen_nodes(self) -> tuple[int, ...]:
        """The nodes whose frozen activations `forward_suffix` asks for."""
        return self.suffix.frozen_nodes

    def adapter(self, edge: Edge) -> Adapter:
        """The adapter on an edge of the placement."""
        return cast(Adapter, self.adapters[str(edge)])

    def forward(self, images: Tensor) -> Tensor:
        """images: (batch, 3, height, width); returns logits (batch, classes)."""
        return self._run(self._full, {0: self.chain.embed(images)})

    def forward_suffix(self, frozen: Mapping[int, Tensor]) -> Tensor:
        """The same logits from the frozen chain's own activations.

        frozen: for each of `frozen_nodes` the chain's value (batch, tokens, dim), no adapters.
        """
        return self._run(self.suffix, frozen)

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
        (last,) = run_together(self.chain, [schedule], [frozen], self._adapt)
        logits: Tensor = self.head(self.chain.features(last))
        return logits

    def _adapt(self, readings: Sequence[Reading]) -> list[Tensor]:
        return [self.adapter(each.edge)(each.source) for each in readings]


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


@torch.no_grad()
def frozen_features(chain: ResidualChain, embedded: Tensor) -> Tensor:
    """The frozen chain's final features (batch, features), which its heads are fitted on."""
    last = chain.n_nodes - 1
    return chain.features(frozen_activations(chain, embedded, {last})[last])
