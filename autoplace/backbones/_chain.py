"""ResidualChain: a frozen timm transformer as a chain of nodes h_0 -> h_1 -> ... -> h_{n-1}."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autoplace.backbones._capture import capture_embedding, capture_extras
from autoplace.backbones._data_config import resolve_data_config
from autoplace.backbones._error import BackboneError
from autoplace.backbones._fingerprint import weights_sha256
from autoplace.backbones._shape import BackboneShape
from autoplace.backbones._sublayers import refuse, split_blocks

# Largest absolute difference from timm's own output, or relative where the output exceeds 1.
_TOLERANCE = 1e-5


class ResidualChain(nn.Module):
    """A timm model split at every residual addition; frozen, and always in evaluation mode.

    Node `h_0` is the stream after patch and position embedding, `h_{2b+1}` after the attention
    of block b, `h_{2b+2}` after its MLP: n = 2 * blocks + 1 nodes. The constructor compares the
    chain with timm's own forward pass.

    Parameters
    ----------
    model : Module
        A timm model with its weights; it is frozen in place.
    name : str
        Name of the backbone in messages and records.
    data_config : dict or None, default=None
        timm's data config (input_size, mean, std, interpolation, crop_pct). None takes that of
        the model, at the image size that the model was built for.
    notes : sequence of str, default=()
        What the user should know of the weights.

    Attributes
    ----------
    notes : tuple of str
        What the user should know of the weights.
    n_nodes : int
        Number of nodes.
    tokens : int
        Tokens of an image in the stream.
    dim : int
        Width of the stream.
    num_features : int
        Width of the pooled features.
    shape : BackboneShape
        Sizes that adapters depend on.
    weights_sha256 : str
        SHA-256 of the weights.

    Raises
    ------
    BackboneError
        If the model is not a residual chain, or its output is not finite.

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> chain = create_chain("starter")
    >>> images = torch.randn(2, 3, 32, 32)
    >>> h = chain.embed(images)
    >>> h.shape
    torch.Size([2, 17, 96])
    >>> for k in range(1, chain.n_nodes):
    ...     h = chain.step(k, h)
    >>> torch.equal(chain.readout(h), chain(images))
    True
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        name: str,
        data_config: dict[str, Any] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        split = split_blocks(model, name)
        self.name = name
        self.notes = tuple(notes)
        # Any: timm's methods (forward_features, forward_head, norm) are not nn.Module's.
        self.model: Any = model.requires_grad_(False).eval()
        self.data_config = data_config or resolve_data_config(model)
        self._sublayers = [sublayers for _, sublayers in split]
        self._extras: list[dict[str, str]] = []  # per block: argument name -> buffer name
        self._check_identity()
        self.weights_sha256 = weights_sha256(model.state_dict())

    @property
    def n_nodes(self) -> int:
        """Number of nodes n = 2 * blocks + 1."""
        return 2 * len(self._sublayers) + 1

    def embed(self, images: Tensor) -> Tensor:
        """Compute node h_0.

        Parameters
        ----------
        images : Tensor of shape (batch, 3, height, width)
            Images of the `input_size` of the data config.

        Returns
        -------
        Tensor of shape (batch, tokens, dim)
            The stream before the first block.

        Raises
        ------
        BackboneError
            If the images have another size.
        """
        expected = tuple(self.data_config["input_size"])
        if images.ndim != 4 or tuple(images.shape[1:]) != expected:
            raise BackboneError(
                f"backbone {self.name!r} takes images (batch, {', '.join(map(str, expected))}), "
                f"but got {tuple(images.shape)}; use the transform of its data config"
            )
        return capture_embedding(self.model, self.model.blocks[0], images)

    def step(self, k: int, h: Tensor) -> Tensor:
        """Compute node h_k from node h_{k-1}.

        Parameters
        ----------
        k : int
            Number of the sub-layer, from 1 to n - 1.
        h : Tensor of shape (batch, tokens, dim)
            Node h_{k-1}.

        Returns
        -------
        Tensor of shape (batch, tokens, dim)
            Node h_k.

        Raises
        ------
        IndexError
            If there is no such sub-layer.
        """
        if not 1 <= k < self.n_nodes:
            raise IndexError(f"step {k} is not in 1..{self.n_nodes - 1}")
        index, is_mlp = divmod(k - 1, 2)
        block, sublayers = self.model.blocks[index], self._sublayers[index]
        if is_mlp:
            return sublayers.mlp(block, h)
        extras = {key: getattr(self, buffer) for key, buffer in self._extras[index].items()}
        return sublayers.attention(block, h, **extras)

    def features(self, h_last: Tensor) -> Tensor:
        """Pool the last node (batch, tokens, dim) to features (batch, num_features)."""
        features: Tensor = self.model.forward_head(self.model.norm(h_last), pre_logits=True)
        return features

    def readout(self, h_last: Tensor) -> Tensor:
        """Apply timm's own classifier to the last node; returns (batch, classes)."""
        logits: Tensor = self.model.forward_head(self.model.norm(h_last))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Compute timm's own output (batch, classes) of images (batch, 3, height, width)."""
        h = self.embed(images)
        for k in range(1, self.n_nodes):
            h = self.step(k, h)
        return self.readout(h)

    def train(self, mode: bool = True) -> ResidualChain:
        """Stay in evaluation mode, since dropout in a frozen backbone would only add noise."""
        return super().train(False)

    @torch.no_grad()
    def _check_identity(self) -> None:
        """Compare the chain with timm's own forward pass, and keep the blocks' extra arguments.

        Random images in batches of two sizes show whether the extra arguments depend on the
        batch. Both the normalised last node and the logits are compared, because the weights of
        a new classifier may all be zero.
        """
        weight = next(self.model.parameters())
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(3, *self.data_config["input_size"], generator=generator).to(weight)
        with capture_extras(self.model.blocks) as extras:
            tokens = self.model.forward_features(images)
        with capture_extras(self.model.blocks) as extras_of_two:
            logits = self.model(images[:2])
        self._keep_extras(extras, extras_of_two)

        h = self.embed(images)
        self.tokens, self.dim = h.shape[1:]
        for k in range(1, self.n_nodes):
            h = self.step(k, h)
        self._compare(self.model.norm(h), tokens)
        self._compare(self.readout(h)[:2], logits)
        features = self.features(h)
        if features.ndim != 2:
            raise refuse(self.name, "it has no pooled features")
        self.num_features = features.shape[-1]
        self.shape = BackboneShape.of(
            self.model, self.dim, self.n_nodes, self.tokens, self._handles_positions
        )

    @property
    def _handles_positions(self) -> bool:
        """Whether attention adds positions of its own, rotary or relative."""
        own = ("rel_pos", "relative_position_bias_table")
        attention = self.model.blocks[0].attn
        return any(self._extras) or any(getattr(attention, name, None) is not None for name in own)

    def _keep_extras(self, extras: list[dict[str, Any]], again: list[dict[str, Any]]) -> None:
        """Keep the extra arguments as buffers, one for each distinct tensor."""
        buffers: dict[int, str] = {}
        for ours, theirs in zip(extras, again, strict=True):
            for key, value in ours.items():
                same = isinstance(value, Tensor) and key in theirs
                if not same or not torch.equal(value, theirs[key]):
                    raise refuse(self.name, f"its blocks' {key!r} depends on the images")
                if id(value) not in buffers:
                    buffers[id(value)] = f"extra_{len(buffers)}"
                    # Not persistent, because it is computed from the model's own state.
                    tensor = value.detach().clone()
                    self.register_buffer(buffers[id(value)], tensor, persistent=False)
            self._extras.append({key: buffers[id(value)] for key, value in ours.items()})

    def _compare(self, ours: Tensor, theirs: Tensor) -> None:
        if not torch.isfinite(theirs).all():
            raise BackboneError(
                f"the output of backbone {self.name!r} is NaN or infinite; its weights are broken, "
                "so download or save them again"
            )
        scale = max(1.0, theirs.abs().max().item())
        difference = (ours - theirs).abs().max().item()
        if difference >= _TOLERANCE * scale:
            raise refuse(self.name, f"its chain differs from timm's output by {difference:.1e}")
