"""Trainable: what the training loop asks of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn


class Trainable(nn.Module, ABC):
    """A model that is trained from cached activations of the frozen chain.

    Parameters that require a gradient are trained. The loop sets training mode for steps and
    evaluation mode for validation.

    Attributes
    ----------
    own_rates : mapping of str to float
        Peak learning rates of the parameters that do not have that of the trial, by name.

    Examples
    --------
    >>> from autoplace.model import AdaptedModel, TunedModel
    >>> issubclass(AdaptedModel, Trainable), issubclass(TunedModel, Trainable)
    (True, True)
    """

    own_rates: Mapping[str, float] = {}

    @property
    @abstractmethod
    def frozen_nodes(self) -> tuple[int, ...]:
        """The nodes whose frozen activations `forward_suffix` needs."""

    @abstractmethod
    def forward_suffix(self, frozen: Mapping[int, Tensor]) -> Tensor:
        """Compute the logits (batch, classes) from activations of the frozen chain.

        Parameters
        ----------
        frozen : mapping of int to Tensor of shape (batch, tokens, dim)
            For each of `frozen_nodes`, the value in the chain without adapters.
        """
