"""What every adapter kind is: a module from the residual stream to the residual stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
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
    """Maps (batch, tokens, dim) to (batch, tokens, dim); outputs exactly 0 when fresh."""

    Config: type[AdapterConfig] = AdapterConfig

    @abstractmethod
    def __init__(self, config: AdapterConfig, dim: int) -> None:
        super().__init__()

    @staticmethod
    @abstractmethod
    def parameters_at(rank: int, dim: int) -> int:
        """Number of trainable parameters at a rank, known without building the adapter."""

    @abstractmethod
    def forward(self, hidden: Tensor) -> Tensor:
        """hidden: (batch, tokens, dim), not normalised yet; returns what is added to the target."""
