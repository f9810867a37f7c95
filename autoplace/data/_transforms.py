"""How a picture becomes the tensor a backbone was trained to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image
from timm.data.transforms_factory import create_transform as create_timm_transform
from torch import Tensor


def create_transform(data_config: Mapping[str, Any]) -> Callable[[Image.Image], Tensor]:
    """Timm's evaluation transform for a backbone's own data config.

    `data_config` is what `timm.data.resolve_model_data_config` returns, or the same read from JSON.
    The transform maps an RGB picture of any size to (3, H, W) float32. Training uses it too:
    without random augmentation the frozen prefix's activations are constant and can be cached.
    """
    options: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in data_config.items()
    }
    transform: Callable[[Image.Image], Tensor] = create_timm_transform(**options, is_training=False)
    return transform
