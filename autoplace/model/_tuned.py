"""What people do without adapters on edges: LoRA in every block, and full fine-tuning."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from torch import Tensor, nn
from torch.nn.utils import parametrize

from autoplace.backbones import ResidualChain
from autoplace.model._trainable import Trainable

# PEFT's default `lora_alpha`, for any rank: the factors' product is scaled by alpha / rank.
LORA_ALPHA = 8

# Attention's maps to queries, keys and values: one fused map, or three in some EVA models.
_QKV = ("qkv", "q_proj", "k_proj", "v_proj")
# Everything that timm applies to the stream after the embedding and before the classifier.
_AFTER_EMBEDDING = ("blocks", "norm", "attn_pool", "fc_norm")


@dataclass(frozen=True)
class Tuning:
    """A way to fine-tune a backbone that does not depend on a placement.

    `lora` trains low-rank factors on the queries, keys and values of every block; `full` trains
    every weight from the first block on.

    Parameters
    ----------
    method : {"lora", "full"}
        What is trained.
    rank : int or None, default=None
        Rank of the LoRA factors; None with `full`.

    Raises
    ------
    ValueError
        If `lora` has no positive rank, or `full` has a rank.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> chain = create_chain("starter")
    >>> tuning = Tuning.lora_within(chain, parameters=9264)
    >>> str(tuning), tuning.count_parameters(chain)
    ('lora:qkv,r=2', 9216)
    >>> Tuning.lora_within(chain, parameters=4607) is None
    True
    >>> str(Tuning("full")), Tuning("full").count_parameters(chain)
    ('full', 1342272)
    """

    method: Literal["lora", "full"]
    rank: int | None = None

    def __post_init__(self) -> None:
        if self.method == "full" and self.rank is not None:
            raise ValueError("full fine-tuning has no rank; leave it out")
        if self.method == "lora" and (self.rank is None or self.rank < 1):
            raise ValueError(f"LoRA's rank is {self.rank}; it must be at least 1")

    @classmethod
    def lora_within(cls, chain: ResidualChain, parameters: int) -> Self | None:
        """Return LoRA at the highest rank that needs at most this many parameters.

        Parameters
        ----------
        chain : ResidualChain
            The backbone.
        parameters : int
            Most trainable parameters; the head is not counted.

        Returns
        -------
        Tuning or None
            None if not even rank 1 fits. The rank is at most the smaller side of the maps: a
            higher one adds nothing.
        """
        maps = list(_qkv_maps(chain))
        rank = parameters // sum(each.in_features + each.out_features for each in maps)
        widest = min(min(each.in_features, each.out_features) for each in maps)
        return cls("lora", min(rank, widest)) if rank else None

    def count_parameters(self, chain: ResidualChain) -> int:
        """Count the trainable parameters for a backbone; the head is not counted."""
        if self.rank is None:
            return sum(parameter.numel() for parameter in _after_embedding(chain))
        return self.rank * sum(each.in_features + each.out_features for each in _qkv_maps(chain))

    def __str__(self) -> str:
        return self.method if self.rank is None else f"{self.method}:qkv,r={self.rank}"


class TunedModel(Trainable):
    """A copy of a backbone that LoRA or full fine-tuning trains, with a linear head.

    It is used like an `AdaptedModel`. The logits of a new model equal those of the frozen chain
    with the same head, bit for bit.

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone. It is copied and never changed.
    tuning : Tuning
        What to train.
    classes : tuple of str
        Names of the classes, in the order of the logits.

    Attributes
    ----------
    chain : ResidualChain
        The copy, with what is trained in it.
    frozen_nodes : tuple of int
        `(0,)`: everything after the embedding depends on a trainable weight.

    Notes
    -----
    LoRA replaces a weight W of shape (out, in) by W + 8 / r * B @ A, with A of shape (r, in) and
    B of shape (out, r). As in the paper and in PEFT, B starts at zero and A from a Kaiming
    uniform distribution. The scale, initialisation and lack of dropout are those of PEFT's
    `LoraConfig(r=r, target_modules=["qkv"])`, whose `lora_alpha` is 8 by default; logits,
    gradients and training agree with it. Since the weight itself is replaced, LoRA also reaches
    attention that reads `qkv.weight` without calling the layer (BEiT, EVA).

    Full fine-tuning trains the blocks, the final norm and timm's pooling layers. It starts after
    the embedding, because the images' node 0 comes from the activation cache.

    References
    ----------
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv 2106.09685).

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> model = TunedModel(create_chain("starter"), Tuning("lora", rank=2), ("cat", "dog"))
    >>> model(torch.randn(4, 3, 32, 32)).shape
    torch.Size([4, 2])
    >>> sum(p.numel() for p in model.parameters() if p.requires_grad)  # LoRA and head
    9410
    """

    frozen_nodes = (0,)

    def __init__(self, chain: ResidualChain, tuning: Tuning, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.chain = copy.deepcopy(chain)
        self.tuning = tuning
        self.classes = classes
        if tuning.rank is None:
            for parameter in _after_embedding(self.chain):
                parameter.requires_grad_(True)
        else:
            for linear in list(_qkv_maps(self.chain)):
                factors = _LoraFactors(linear, tuning.rank)
                parametrize.register_parametrization(linear, "weight", factors)
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
            raise RuntimeError(f"tensors differ from those of {self.tuning}: {expected ^ given}")
        self.load_state_dict(dict(state), strict=False)


class _LoraFactors(nn.Module):
    """Adds the scaled product of two low-rank factors to the weight of a linear map."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.scale = LORA_ALPHA / rank
        self.a = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        self.b = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * (self.b @ self.a)


def _qkv_maps(chain: ResidualChain) -> Iterator[nn.Linear]:
    """Yield the maps to queries, keys and values of every block."""
    for block in chain.model.blocks:
        for name in _QKV:
            linear = getattr(block.attn, name, None)
            if isinstance(linear, nn.Linear):
                yield linear


def _after_embedding(chain: ResidualChain) -> Iterator[nn.Parameter]:
    """Yield the weights that full fine-tuning trains."""
    for name in _AFTER_EMBEDDING:
        part = getattr(chain.model, name, None)
        if isinstance(part, nn.Module):
            yield from part.parameters()
