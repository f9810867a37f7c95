"""The transform from a picture to the tensor that a backbone expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image
from timm.data.transforms_factory import create_transform as create_timm_transform
from torch import Tensor


def create_transform(data_config: Mapping[str, Any]) -> Callable[[Image.Image], Tensor]:
    """Create timm's evaluation transform from a backbone's data config.

    Training uses it too: without random augmentation, the activations of frozen layers are constant
    and can be cached.

    Parameters
    ----------
    data_config : mapping of str to Any
        The result of `timm.data.resolve_model_data_config`, possibly read back from JSON.

    Returns
    -------
    callable
        Maps an RGB picture of any size to a float32 tensor of shape (3, height, width).

    Examples
    --------
    >>> from PIL import Image
    >>> from autoplace.data import create_transform
    >>> transform = create_transform({"input_size": [3, 32, 32]})
    >>> transform(Image.new("RGB", (200, 100))).shape
    torch.Size([3, 32, 32])
    """
    options: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in data_config.items()
    }
    transform: Callable[[Image.Image], Tensor] = create_timm_transform(**options, is_training=False)
    return transform
