"""The base class of adapter kinds, their options, and the normalisation they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from autoplace.placement import PlacementError


def normalise(hidden: Tensor) -> Tensor:
    """Normalise each token to zero mean and unit variance, without trainable weights.

    Every adapter reads the stream so, and the probe scores edges on the same normalised stream.

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
    """The options that all adapter kinds have; a kind with more options derives from it.

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
    >>> AdapterConfig(r=4)
    AdapterConfig(r=4)
    >>> from autoplace.placement import PlacementError
    >>> try:
    ...     AdapterConfig(r=0)
    ... except PlacementError as error:
    ...     print(error)
    adapter rank r=0 must be a whole number of at least 1
    """

    r: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.r, int) or self.r < 1:
            raise PlacementError(f"adapter rank r={self.r} must be a whole number of at least 1")


class Adapter(nn.Module, ABC):
    """Base class of adapter kinds: a module from (batch, tokens, dim) to (batch, tokens, dim).

    A new adapter outputs exactly 0. A subclass writes its formula once, in `together`, for any
    number of adapters at a time.

    Parameters
    ----------
    config : AdapterConfig
        Options, of the class's own `Config` type.
    dim : int
        Width of the residual stream.

    Attributes
    ----------
    Config : type of AdapterConfig
        Type of the options; a kind with options of its own overrides it.

    Examples
    --------
    >>> import torch
    >>> from autoplace.adapters import create_adapter
    >>> from autoplace.placement import AdapterSpec
    >>> adapter = create_adapter(AdapterSpec.of("bottleneck", r=2), dim=6)
    >>> isinstance(adapter, Adapter)
    True
    >>> hidden = torch.randn(3, 5, 6)
    >>> added = adapter(hidden)
    >>> added.shape == hidden.shape, added.abs().max().item()
    (True, 0.0)
    """

    Config: type[AdapterConfig] = AdapterConfig

    @abstractmethod
    def __init__(self, config: AdapterConfig, dim: int) -> None:
        super().__init__()

    @staticmethod
    @abstractmethod
    def parameters_at(rank: int, dim: int) -> int:
        """Count the trainable parameters at a rank, without building the adapter."""

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
        own = {name: parameter[None] for name, parameter in self.named_parameters()}
        return self.together(own, hidden[None])[0]
