"""How a block of each supported type is split into two residual sub-layers, attention and MLP.

A block is looked up by its exact type: a subclass may compute something else, so it is refused
unless it has its own entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from timm.models import beit, eva, vision_transformer, vision_transformer_relpos
from torch import Tensor, nn

from autoplace.backbones._error import BackboneError

# (block, stream (B, tokens, dim), extra arguments of its attention) -> stream after the sub-layer.
AttentionStep = Callable[..., Tensor]
MlpStep = Callable[[nn.Module, Tensor], Tensor]


class SubLayers(NamedTuple):
    """The two steps of a block; each takes the stream and returns it with its branch added."""

    attention: AttentionStep
    mlp: MlpStep


def _scaled_attention(block: Any, h: Tensor, **extras: Tensor) -> Tensor:
    branch: Tensor = block.drop_path1(block.ls1(block.attn(block.norm1(h), **extras)))
    return h + branch


def _scaled_mlp(block: Any, h: Tensor) -> Tensor:
    branch: Tensor = block.drop_path2(block.ls2(block.mlp(block.norm2(h))))
    return h + branch


def _gamma_attention(block: Any, h: Tensor, **extras: Tensor) -> Tensor:
    branch: Tensor = block.attn(block.norm1(h), **extras)
    if block.gamma_1 is not None:
        branch = block.gamma_1 * branch
    branch = block.drop_path1(branch)
    return h + branch


def _gamma_mlp(block: Any, h: Tensor) -> Tensor:
    branch: Tensor = block.mlp(block.norm2(h))
    if block.gamma_2 is not None:
        branch = block.gamma_2 * branch
    branch = block.drop_path2(branch)
    return h + branch


def _post_norm_attention(block: Any, h: Tensor, **extras: Tensor) -> Tensor:
    branch: Tensor = block.drop_path1(block.norm1(block.attn(h, **extras)))
    return h + branch


def _post_norm_mlp(block: Any, h: Tensor) -> Tensor:
    branch: Tensor = block.drop_path2(block.norm2(block.mlp(h)))
    return h + branch


_PRE_NORM = SubLayers(_scaled_attention, _scaled_mlp)
_PRE_NORM_GAMMA = SubLayers(_gamma_attention, _gamma_mlp)
_POST_NORM = SubLayers(_post_norm_attention, _post_norm_mlp)

_SUBLAYERS: dict[type[nn.Module], SubLayers] = {
    vision_transformer.Block: _PRE_NORM,
    vision_transformer.ResPostBlock: _POST_NORM,
    vision_transformer_relpos.RelPosBlock: _PRE_NORM,
    vision_transformer_relpos.ResPostRelPosBlock: _POST_NORM,
    eva.EvaBlock: _PRE_NORM_GAMMA,
    eva.EvaBlockPostNorm: _POST_NORM,
    beit.Block: _PRE_NORM_GAMMA,
}

_SUPPORTED = (
    "supported are plain transformers of attention and MLP blocks: "
    "ViT, DeiT, DINOv2/v3, CLIP, SigLIP, EVA, BEiT ('autoplace backbones' lists them)"
)


def is_post_norm(block: nn.Module) -> bool:
    """Whether a supported block normalises what its sub-layers give, not what they read."""
    return _SUBLAYERS[type(block)] is _POST_NORM


def refuse(name: str, reason: str) -> BackboneError:
    """Return the error for a backbone that is not a residual chain."""
    return BackboneError(f"backbone {name!r} is not a residual chain: {reason};\n{_SUPPORTED}")


def split_blocks(model: nn.Module, name: str) -> list[tuple[nn.Module, SubLayers]]:
    """Return the blocks of a timm model in order, each with its two sub-layers.

    The model may be on the meta device.

    Raises
    ------
    BackboneError
        If the model is not a single stack of supported blocks; names its first unsupported part.
    """
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, (nn.Sequential, nn.ModuleList)) or len(blocks) == 0:
        raise refuse(name, f"{type(model).__name__} has no single stack of blocks")
    if not isinstance(getattr(model, "norm", None), nn.Module):
        raise refuse(name, f"{type(model).__name__} has no final norm after its blocks")
    split = []
    for block in blocks:
        if type(block) not in _SUBLAYERS:
            raise refuse(
                name,
                f"its {type(block).__name__} is not an attention branch followed by an MLP branch",
            )
        split.append((block, _SUBLAYERS[type(block)]))
    return split
