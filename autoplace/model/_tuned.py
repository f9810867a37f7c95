"""Full fine-tuning: what people do without adapters."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from autoplace.backbones import ResidualChain
from autoplace.model._trainable import Trainable

# Everything that timm applies to the stream after the embedding and before the classifier.
_AFTER_EMBEDDING = ("blocks", "norm", "attn_pool", "fc_norm")


@dataclass(frozen=True)
class FullTuning:
    """Fine-tuning of every weight of a backbone from its first block on.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> str(FullTuning()), FullTuning().count_parameters(create_chain("starter"))
    ('full', 1342272)
    """

    def count_parameters(self, chain: ResidualChain) -> int:
        """Count the trainable parameters for a backbone; the head is not counted."""
        return sum(parameter.numel() for parameter in _after_embedding(chain))

    def __str__(self) -> str:
        return "full"


class TunedModel(Trainable):
    """A copy of a backbone that full fine-tuning trains, with a linear head.

    It is used like an `AdaptedModel`. The logits of a new model equal those of the frozen chain
    with the same head, bit for bit.

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone. It is copied and never changed.
    classes : tuple of str
        Names of the classes, in the order of the logits.

    Attributes
    ----------
    chain : ResidualChain
        The copy, which is trained.
    frozen_nodes : tuple of int
        `(0,)`: everything after the embedding depends on a trainable weight.

    Notes
    -----
    The blocks, the final norm and timm's pooling layers are trained. Training starts after the
    embedding, because the images' node 0 comes from the activation cache.

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> model = TunedModel(create_chain("starter"), ("cat", "dog"))
    >>> model(torch.randn(4, 3, 32, 32)).shape
    torch.Size([4, 2])
    """

    frozen_nodes = (0,)

    def __init__(self, chain: ResidualChain, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.chain = copy.deepcopy(chain)
        self.classes = classes
        for parameter in _after_embedding(self.chain):
            parameter.requires_grad_(True)
        self.head = nn.Linear(self.chain.num_features, len(classes))

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
        return self.forward_suffix({0: self.chain.embed(images)})

    def forward_suffix(self, frozen: Mapping[int, Tensor]) -> Tensor:
        """Compute the same logits from activations of the frozen chain.

        Parameters
        ----------
        frozen : mapping of int to Tensor of shape (batch, tokens, dim)
            The value of node 0.

        Returns
        -------
        Tensor of shape (batch, classes)
            Logits.
        """
        hidden = frozen[0]
        for node in range(1, self.chain.n_nodes):
            hidden = self.chain.step(node, hidden)
        logits: Tensor = self.head(self.chain.features(hidden))
        return logits

    def trainable_state(self) -> dict[str, Tensor]:
        """Return the trained tensors and those of the head by name."""
        return {
            name: parameter.detach()
            for name, parameter in self.named_parameters()
            if parameter.requires_grad
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
            raise RuntimeError(f"tensors differ from those of the backbone: {expected ^ given}")
        self.load_state_dict(dict(state), strict=False)


def _after_embedding(chain: ResidualChain) -> Iterator[nn.Parameter]:
    """Yield the weights that full fine-tuning trains."""
    for name in _AFTER_EMBEDDING:
        part = getattr(chain.model, name, None)
        if isinstance(part, nn.Module):
            yield from part.parameters()
