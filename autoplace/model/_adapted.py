"""AdaptedModel: a frozen chain, the adapters of a placement, and a head."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Self, cast

import torch
from PIL.Image import Image
from torch import Tensor, nn

from autoplace.adapters import (
    Adapter,
    SubLayerAdapter,
    TokenAdapter,
    adapter_class,
    check_adapters,
    create_adapter,
    group_of,
)
from autoplace.backbones import OpenChain, ResidualChain, Site
from autoplace.model._run import Adapters, Reading, SiteReading, run_together
from autoplace.model._schedule import Schedule
from autoplace.model._trainable import Trainable
from autoplace.placement import Edge, Placement


class AdaptedModel(Trainable):
    """A backbone with adapters on the edges of a placement, and a linear classification head.

    Only adapters and head are trainable. The logits of a new model equal those of the frozen
    chain with the same head, bit for bit. In pass t, node j receives A(h_i) of the same pass
    from feed-forward edges and A(h_i) of pass t-1 from recurrent ones; a sequential edge reads
    its node before anything is added to it (Nowak et al. 2024, section 4).

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone.
    placement : Placement
        Edges with their adapters; without edges the model is head-only.
    classes : tuple of str
        Names of the classes, in the order of the logits.

    Attributes
    ----------
    suffix : Schedule
        The part of the network that depends on a trainable weight.
    transform : callable
        Maps an RGB PIL image to a tensor (3, height, width). Set only on models that
        `autoplace.load` returns.
    read_image : callable
        Reads an image file as an RGB PIL image, as those that the model was trained on were read.
        Set only on models that `autoplace.load` returns.

    Raises
    ------
    PlacementError
        If the placement does not fit the backbone, or names an unknown adapter kind or option.

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.placement import Placement
    >>> placement = Placement.parse("0>5+7>3@bottleneck:r=8")
    >>> model = AdaptedModel(create_chain("starter"), placement, ("cat", "dog"))
    >>> model(torch.randn(4, 3, 32, 32)).shape
    torch.Size([4, 2])
    >>> sum(p.numel() for p in model.parameters() if p.requires_grad)  # adapters and head
    3282
    >>> model.frozen_nodes
    (0, 3, 5)
    """

    transform: Callable[[Image], Tensor]
    read_image: Callable[[str], Image]

    def __init__(
        self, chain: ResidualChain, placement: Placement, classes: tuple[str, ...]
    ) -> None:
        super().__init__()
        placement.check(chain.n_nodes)
        check_adapters(placement, chain.shape)
        self.chain = chain
        self._open: OpenChain | None = None  # made when it is needed
        self.placement = placement
        self.classes = classes
        self.adapters = nn.ModuleDict(
            {str(edge): create_adapter(spec, edge, chain.shape) for edge, spec in placement}
        )
        _share(self.adapters, placement)
        self.head = nn.Linear(chain.num_features, len(classes))
        self._full = Schedule.full(placement, chain.n_nodes)
        self.suffix = Schedule.suffix(placement, chain.n_nodes)

    @property
    def frozen_nodes(self) -> tuple[int, ...]:
        """The nodes whose frozen activations `forward_suffix` needs."""
        return self.suffix.frozen_nodes

    def adapter(self, edge: Edge) -> Adapter:
        """Return the adapter on an edge of the placement."""
        return cast(Adapter, self.adapters[str(edge)])

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits of images.

        Parameters
        ----------
        images : Tensor of shape (batch, 3, height, width)
            Transformed images.

        Returns
        -------
        Tensor of shape (batch, classes)
            Logits.
        """
        return self.run(self._full, {0: self.chain.embed(images)})

    def forward_suffix(self, frozen: Mapping[int, Tensor]) -> Tensor:
        """Compute the same logits from activations of the frozen chain.

        Parameters
        ----------
        frozen : mapping of int to Tensor of shape (batch, tokens, dim)
            For each of `frozen_nodes`, the value in the chain without adapters.

        Returns
        -------
        Tensor of shape (batch, classes)
            Logits.
        """
        return self.run(self.suffix, frozen)

    def run(
        self,
        schedule: Schedule,
        frozen: Mapping[int, Tensor],
        adapters: Adapters | None = None,
    ) -> Tensor:
        """Compute logits on any schedule of edges of the placement.

        Parameters
        ----------
        schedule : Schedule
            The passes to run.
        frozen : mapping of int to Tensor of shape (batch, tokens, dim)
            The chain's values at the frozen nodes of the schedule.
        adapters : Adapters, optional
            What computes the adapters; default: this model.

        Returns
        -------
        Tensor of shape (batch, classes)
            Logits.
        """
        chain = self._open_chain() if any(p.inside for p in schedule.passes) else self.chain
        (last,) = run_together(chain, [schedule], [frozen], adapters or self)
        logits: Tensor = self.head(self.chain.features(last))
        return logits

    def on_backbone(self, chain: ResidualChain, placement: Placement) -> Self:
        """Copy the model onto a backbone of the same shape, with some of its adapters.

        Parameters
        ----------
        chain : ResidualChain
            The backbone of the copy; it is not copied.
        placement : Placement
            Part of this model's placement.

        Returns
        -------
        AdaptedModel
            Copies of head and adapters; adapters that share parameters still do.
        """
        self._open = None  # not to be copied
        copied = copy.deepcopy(self, {id(self.chain): chain})
        copied.placement = placement
        for edge in set(self.placement.edges) - set(placement.edges):
            del copied.adapters[str(edge)]
        copied._full = Schedule.full(placement, chain.n_nodes)
        copied.suffix = Schedule.suffix(placement, chain.n_nodes)
        return copied

    def trainable_state(self) -> dict[str, Tensor]:
        """Return the tensors of adapters and head by name.

        A tensor that several edges have in common is there once, named after the first of them.
        """
        tensors = {
            name: tensor
            for name, tensor in self.state_dict(keep_vars=True).items()
            if not name.startswith("chain.")
        }
        firsts = {id(tensor): name for name, tensor in reversed(tensors.items())}
        return {
            name: tensor.detach() for name, tensor in tensors.items() if firsts[id(tensor)] == name
        }

    def load_trainable_state(self, state: Mapping[str, Tensor]) -> None:
        """Load the tensors that `trainable_state` returned.

        Raises
        ------
        RuntimeError
            If names or shapes differ.
        """
        expected, given = set(self.trainable_state()), set(state)
        if expected != given:
            raise RuntimeError(f"adapter tensors differ from the placement: {expected ^ given}")
        self.load_state_dict(dict(state), strict=False)

    def sites(self, member: int, edge: Edge) -> Sequence[Site]:
        """See `Adapters`; as the only member of a run."""
        return cast(SubLayerAdapter, self.adapter(edge)).sites

    def extra_tokens(self, member: int, edge: Edge) -> int:
        """See `Adapters`."""
        return cast(SubLayerAdapter, self.adapter(edge)).extra_tokens

    def add(self, readings: Sequence[Reading]) -> list[Tensor]:
        """See `Adapters`."""
        return [self.adapter(reading.edge)(reading.source) for reading in readings]

    def insert(self, readings: Sequence[Reading]) -> list[Tensor]:
        """See `Adapters`."""
        return self.add(readings)

    def remove(self, member: int, edge: Edge, hidden: Tensor) -> Tensor:
        """See `Adapters`."""
        return cast(TokenAdapter, self.adapter(edge)).remove(hidden)

    def change(self, site: Site, readings: Sequence[SiteReading]) -> list[Tensor]:
        """See `Adapters`."""
        return [self.adapter(r.edge)(site, r.given, r.output) for r in readings]

    def _open_chain(self) -> OpenChain:
        if self._open is None:
            self._open = OpenChain(self.chain)
        return self._open

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._open = None  # the weights may move to another device
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _share(adapters: nn.ModuleDict, placement: Placement) -> None:
    """Let adapters of one group have the parameters in common that their kind shares."""
    first: dict[Hashable, nn.Module] = {}
    for edge, spec in placement:
        adapter = adapters[str(edge)]
        owner = first.setdefault(group_of(spec, edge), adapter)
        for name in adapter_class(spec.kind).shared:
            setattr(adapter, name, getattr(owner, name))


@torch.no_grad()
def frozen_activations(
    chain: ResidualChain, embedded: Tensor, nodes: Collection[int]
) -> dict[int, Tensor]:
    """Compute values of a frozen chain, no further along it than needed.

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone.
    embedded : Tensor of shape (batch, tokens, dim)
        Node 0, from `chain.embed`.
    nodes : collection of int
        Nodes to return.

    Returns
    -------
    dict of int to Tensor of shape (batch, tokens, dim)
        Values by node.

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> chain = create_chain("starter")
    >>> embedded = chain.embed(torch.randn(2, 3, 32, 32))
    >>> values = frozen_activations(chain, embedded, {0, 3})
    >>> {node: tuple(value.shape) for node, value in values.items()}
    {0: (2, 17, 96), 3: (2, 17, 96)}
    """
    hidden = embedded
    values = {}
    for node in range(max(nodes) + 1):
        if node:
            hidden = chain.step(node, hidden)
        if node in nodes:
            values[node] = hidden
    return values


@torch.no_grad()
def frozen_features(chain: ResidualChain, embedded: Tensor) -> Tensor:
    """Compute the pooled features of a frozen chain, on which heads are fitted.

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone.
    embedded : Tensor of shape (batch, tokens, dim)
        Node 0, from `chain.embed`.

    Returns
    -------
    Tensor of shape (batch, features)
        Features.

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> chain = create_chain("starter")
    >>> frozen_features(chain, chain.embed(torch.randn(2, 3, 32, 32))).shape
    torch.Size([2, 96])
    """
    last = chain.n_nodes - 1
    return chain.features(frozen_activations(chain, embedded, {last})[last])
