"""A frozen timm transformer as a residual chain h_0 -> h_1 -> ... -> h_{n-1}."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from autoplace.backbones._capture import capture_embedding, capture_extras
from autoplace.backbones._data_config import resolve_data_config
from autoplace.backbones._error import BackboneError
from autoplace.backbones._fingerprint import weights_sha256
from autoplace.backbones._sublayers import refuse, split_blocks

_TOLERANCE = 1e-5  # max abs difference to timm's own output, relative where that exceeds 1


class ResidualChain(nn.Module):
    """A timm model cut at every residual addition; frozen, and always in evaluation mode.

    Node `h_0` is the stream after patch and position embedding, `h_{2b+1}` after the attention
    of block b, `h_{2b+2}` after its MLP: n = 2 * blocks + 1 nodes. What is computed is checked
    against timm's own forward pass when the chain is made.

    Parameters
    ----------
    model
        A timm model with its weights; it is frozen in place.
    name
        What the backbone is called in messages and records.
    data_config
        timm's data config (input_size, mean, std, interpolation, crop_pct); by default the
        model's own, at the image size that the model was built for.

    Raises BackboneError if the model cannot be expressed as a residual chain.
    """

    def __init__(
        self, model: nn.Module, *, name: str, data_config: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        split = split_blocks(model, name)
        self.name = name
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
        """Images (B, 3, H, W) of the config's input size -> node h_0 (B, tokens, dim)."""
        expected = tuple(self.data_config["input_size"])
        if images.ndim != 4 or tuple(images.shape[1:]) != expected:
            raise BackboneError(
                f"backbone {self.name!r} takes images (batch, {', '.join(map(str, expected))}), "
                f"got {tuple(images.shape)}; use the transform of its data config"
            )
        return capture_embedding(self.model, self.model.blocks[0], images)

    def step(self, k: int, h: Tensor) -> Tensor:
        """Node h_{k-1} -> node h_k, both (B, tokens, dim), for 1 <= k <= n - 1."""
        if not 1 <= k < self.n_nodes:
            raise IndexError(f"step {k} is not in 1..{self.n_nodes - 1}")
        index, is_mlp = divmod(k - 1, 2)
        block, sublayers = self.model.blocks[index], self._sublayers[index]
        if is_mlp:
            return sublayers.mlp(block, h)
        extras = {key: getattr(self, buffer) for key, buffer in self._extras[index].items()}
        return sublayers.attention(block, h, **extras)

    def features(self, h_last: Tensor) -> Tensor:
        """Node h_{n-1} (B, tokens, dim) -> pooled features (B, num_features), before the logits."""
        features: Tensor = self.model.forward_head(self.model.norm(h_last), pre_logits=True)
        return features

    def readout(self, h_last: Tensor) -> Tensor:
        """Node h_{n-1} (B, tokens, dim) -> the output of timm's own classifier (B, classes)."""
        logits: Tensor = self.model.forward_head(self.model.norm(h_last))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> timm's own output (B, classes)."""
        h = self.embed(images)
        for k in range(1, self.n_nodes):
            h = self.step(k, h)
        return self.readout(h)

    def train(self, mode: bool = True) -> ResidualChain:
        """Stay in evaluation mode: dropout in a frozen backbone would only add noise."""
        return super().train(False)

    @torch.no_grad()
    def _check_identity(self) -> None:
        """Compare with timm's own pass on random images, and fill in what its blocks are handed.

        Two batch sizes tell whether the blocks' extra arguments depend on the batch. The
        normalised last node is compared besides the logits, as a fresh head may be all zeros.
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

    def _keep_extras(self, extras: list[dict[str, Any]], again: list[dict[str, Any]]) -> None:
        """Hold the extra arguments as buffers, one for each distinct tensor."""
        buffers: dict[int, str] = {}
        for ours, theirs in zip(extras, again, strict=True):
            for key, value in ours.items():
                same = isinstance(value, Tensor) and key in theirs
                if not same or not torch.equal(value, theirs[key]):
                    raise refuse(self.name, f"its blocks' {key!r} depends on the images")
                if id(value) not in buffers:
                    buffers[id(value)] = f"extra_{len(buffers)}"
                    # A copy, not persistent: it is computed from the model's own state.
                    tensor = value.detach().clone()
                    self.register_buffer(buffers[id(value)], tensor, persistent=False)
            self._extras.append({key: buffers[id(value)] for key, value in ours.items()})

    def _compare(self, ours: Tensor, theirs: Tensor) -> None:
        if not torch.isfinite(theirs).all():
            raise BackboneError(
                f"backbone {self.name!r} gives infinite or undefined values; its weights are broken"
            )
        scale = max(1.0, theirs.abs().max().item())
        difference = (ours - theirs).abs().max().item()
        if difference >= _TOLERANCE * scale:
            raise refuse(self.name, f"its chain differs from timm's output by {difference:.1e}")
