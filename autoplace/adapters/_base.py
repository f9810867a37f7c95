"""What every adapter kind is: a module from the residual stream to the residual stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from autoplace.placement import PlacementError


def normalise(hidden: Tensor) -> Tensor:
    """Zero mean and unit variance per token, without weights: what every adapter reads.

    hidden: (..., dim). The probe scores edges on the same normalised stream, so both call this.
    """
    return functional.layer_norm(hidden, hidden.shape[-1:])


@dataclass(frozen=True)
class AdapterConfig:
    """Options shared by all kinds.

    Raises PlacementError for a rank below 1.

    Parameters
    ----------
    r
        Rank: the width of the narrow middle.
    """

    r: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.r, int) or self.r < 1:
            raise PlacementError(f"adapter rank r={self.r} must be a whole number of at least 1")


class Adapter(nn.Module, ABC):
    """Maps (batch, tokens, dim) to (batch, tokens, dim); outputs exactly 0 when fresh.

    What it computes is written once, in `together`, for any number of adapters at a time.
    """

    Config: type[AdapterConfig] = AdapterConfig

    @abstractmethod
    def __init__(self, config: AdapterConfig, dim: int) -> None:
        super().__init__()

    @staticmethod
    @abstractmethod
    def parameters_at(rank: int, dim: int) -> int:
        """Number of trainable parameters at a rank, known without building the adapter."""

    @abstractmethod
    def together(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        """Several adapters of this kind and these options, each on its own slice.

        Batched products instead of one call each: on a GPU a population of small adapters waits
        for kernels to be launched, not for them to compute.

        parameters: by name as in `named_parameters`, stacked: (adapters, ...); this module's own
        are not used. hidden: (adapters, batch, tokens, dim), not normalised yet. Returns what is
        added to each target, shaped like `hidden`.
        """

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden: (batch, tokens, dim), not normalised yet; returns what is added to the target."""
        own = {name: parameter[None] for name, parameter in self.named_parameters()}
        return self.together(own, hidden[None])[0]
