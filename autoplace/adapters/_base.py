"""The base classes of adapter kinds: those on the stream, and those inside a sub-layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from autoplace.adapters._drop import BatchPart, Drop
from autoplace.backbones import BackboneShape, Site, SubLayer, SubLayerMaps
from autoplace.placement import Edge, EdgeKind, PlacementError


def normalise(hidden: Tensor) -> Tensor:
    """Normalise each token to zero mean and unit variance, without trainable weights.

    Most adapters read the stream so, and the probe scores edges on the same normalised stream.

    Parameters
    ----------
    hidden : Tensor of shape (..., dim)
        Values of a node.

    Returns
    -------
    Tensor of shape (..., dim)
        Normalised values.

    Examples
    --------
    >>> import torch
    >>> normalise(torch.tensor([[1.0, 3.0], [10.0, 30.0]]))
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]])
    """
    return functional.layer_norm(hidden, hidden.shape[-1:])


@dataclass(frozen=True)
class AdapterConfig:
    """Options of an adapter kind; each kind derives its own, also if it has none.

    Raises
    ------
    PlacementError
        If a value is not allowed.

    Examples
    --------
    >>> AdapterConfig()
    AdapterConfig()
    """


@dataclass(frozen=True)
class RankConfig(AdapterConfig):
    """Options of the kinds that have a rank.

    Parameters
    ----------
    r : int, default=8
        Rank: the width of the adapter's hidden layer.

    Raises
    ------
    PlacementError
        If the rank is less than 1 or not a whole number.

    Examples
    --------
    >>> RankConfig(r=4)
    RankConfig(r=4)
    >>> from autoplace.placement import PlacementError
    >>> try:
    ...     RankConfig(r=0)
    ... except PlacementError as error:
    ...     print(error)
    adapter rank r=0 must be a whole number of at least 1
    """

    r: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.r, int) or self.r < 1:
            raise PlacementError(f"adapter rank r={self.r} must be a whole number of at least 1")


class Adapter(nn.Module, ABC):
    """Base class of adapter kinds.

    A kind derives from `StreamAdapter` if it reads one node and adds to another, or from
    `SubLayerAdapter` if it changes what a sub-layer computes. It writes its formula once, for any
    number of adapters at a time.

    Parameters
    ----------
    config : AdapterConfig
        Options, of the type that the class names as its `Config`.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        The edge that the adapter is on.

    Attributes
    ----------
    edge_kinds : frozenset of EdgeKind
        Edges that the kind can serve.
    paper : str
        Where the kind was published.
    mergeable : bool
        Whether a trained adapter can be folded into the backbone's weights.
    shared : tuple of str
        Names of the parameters that adapters of one `group_of` have in common.

    Examples
    --------
    >>> import torch
    >>> from autoplace.adapters import create_adapter
    >>> from autoplace.placement import AdapterSpec
    >>> shape = BackboneShape.plain(dim=6)
    >>> adapter = create_adapter(AdapterSpec.of("bottleneck", r=2), Edge(3, 5), shape)
    >>> isinstance(adapter, Adapter), isinstance(adapter, StreamAdapter)
    (True, True)
    >>> hidden = torch.randn(3, 5, 6)
    >>> added = adapter(hidden)
    >>> added.shape == hidden.shape, added.abs().max().item()
    (True, 0.0)
    """

    Config: type[AdapterConfig] = AdapterConfig
    edge_kinds: ClassVar[frozenset[EdgeKind]] = frozenset(EdgeKind)
    paper: ClassVar[str] = ""
    mergeable: ClassVar[bool] = False
    shared: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __init__(self, config: Any, shape: BackboneShape, edge: Edge) -> None:
        super().__init__()

    @classmethod
    @abstractmethod
    def parameters_at(cls, config: Any, shape: BackboneShape, edge: Edge) -> int:
        """Count the trainable parameters on an edge, without building the adapter."""

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers in training mode."""
        return any(part.draws for part in self._drops())

    def start_step(self, step: int, part: BatchPart | None = None) -> None:
        """Start a training step: random numbers drawn from now on are those of this step.

        Parameters
        ----------
        step : int
            Number of the step.
        part : BatchPart, optional
            The rows of the batch that come next, if they are not all.
        """
        for drop in self._drops():
            drop.start_step(step, part)

    def _drops(self) -> list[Drop]:
        return [module for module in self.modules() if isinstance(module, Drop)]

    @classmethod
    def shared_parameters_at(cls, config: Any, shape: BackboneShape, edge: Edge) -> int:
        """Count those of them that the edge has in common with others of its group."""
        return 0

    @classmethod
    def check(cls, config: Any, shape: BackboneShape, edge: Edge) -> None:
        """Check that the kind can be on an edge of a backbone; a kind may check more.

        Raises
        ------
        PlacementError
            If it cannot.
        """
        if edge.kind not in cls.edge_kinds:
            served = ", ".join(kind for kind in EdgeKind if kind in cls.edge_kinds)
            raise PlacementError(
                f"edge {edge} is {edge.kind}, which this adapter kind cannot serve; "
                f"it serves edges that are {served}"
            )


class StreamAdapter(Adapter):
    """Base class of kinds that read a node and add to a node.

    Examples
    --------
    >>> from autoplace.adapters import Bottleneck
    >>> issubclass(Bottleneck, StreamAdapter)
    True
    """

    @abstractmethod
    def together(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        """Apply several adapters of this kind and these options, each to its own input.

        Batched products replace one call per adapter: on a GPU, many small adapters spend
        their time on launching kernels rather than on computing.

        Parameters
        ----------
        parameters : mapping of str to Tensor of shape (adapters, ...)
            Stacked parameters, named as in `named_parameters`; the module's own parameters
            are not used.
        hidden : Tensor of shape (adapters, batch, tokens, dim)
            What each adapter reads, not yet normalised.

        Returns
        -------
        Tensor of shape (adapters, batch, tokens, dim)
            What each adapter adds to its target.
        """

    def forward(self, hidden: Tensor) -> Tensor:
        """Compute what is added to the target node.

        Parameters
        ----------
        hidden : Tensor of shape (batch, tokens, dim)
            Value of the source node, not yet normalised.

        Returns
        -------
        Tensor of shape (batch, tokens, dim)
            What is added to the target node.
        """
        return self.together(own_parameters(self), hidden[None])[0]


class SubLayerAdapter(Adapter):
    """Base class of kinds that change what a sub-layer computes.

    Such a kind serves parallel edges only: on edge (j - 1, j) it is inside sub-layer j.

    Attributes
    ----------
    sites : sequence of Site
        Where it changes something; set by the constructor.
    extra_tokens : int
        Tokens that attention sees besides those of the stream.

    Examples
    --------
    >>> from autoplace.adapters import Lora
    >>> Lora(Lora.Config(r=2), BackboneShape.plain(dim=6), Edge(0, 1)).sites
    (<Site.QKV: 'qkv'>,)
    """

    edge_kinds = frozenset({EdgeKind.PARALLEL})
    sites: Sequence[Site]
    extra_tokens: int = 0

    @classmethod
    @abstractmethod
    def maps_at(cls, config: Any, edge: Edge) -> tuple[str, ...]:
        """Name the maps of the sub-layer that change on an edge, as `Site.maps` does.

        `kv` are the keys and values of extra tokens.
        """

    @abstractmethod
    def together(
        self, parameters: Mapping[str, Tensor], site: Site, given: Tensor, output: Tensor
    ) -> Tensor:
        """Change a site for several adapters of this kind and these options.

        Parameters
        ----------
        parameters : mapping of str to Tensor of shape (adapters, ...)
            Stacked parameters, named as in `named_parameters`; the module's own parameters
            are not used.
        site : Site
            Which of `sites`.
        given, output : Tensor of shape (adapters, batch, tokens, width)
            Input and output of the site; see `Site`.

        Returns
        -------
        Tensor of shape (adapters, batch, tokens, width)
            The changed output.
        """

    def forward(self, site: Site, given: Tensor, output: Tensor) -> Tensor:
        """Compute the changed output (batch, tokens, width) of a site."""
        return self.together(own_parameters(self), site, given[None], output[None])[0]

    def fold(self, maps: SubLayerMaps) -> None:
        """Replace maps of the sub-layer by ones that do what they and the adapter do now.

        Only kinds that are `mergeable` have this. A kind may also replace maps that come after
        its sites.

        Parameters
        ----------
        maps : SubLayerMaps
            The maps of the sub-layer, which are changed in place; their tensors are not.

        Raises
        ------
        UserError
            If that is not exact in this sub-layer.
        """
        raise NotImplementedError(f"{type(self).__name__} adapters cannot be folded")


def sublayer_of(edge: Edge) -> SubLayer:
    """Return the sub-layer that a parallel edge spans.

    Examples
    --------
    >>> sublayer_of(Edge(1, 2)).value
    'mlp'
    """
    return SubLayer.before(edge.target)


def own_parameters(adapter: Adapter) -> dict[str, Tensor]:
    """Return the parameters of one adapter, stacked as those of several."""
    return {name: parameter[None] for name, parameter in adapter.named_parameters()}
