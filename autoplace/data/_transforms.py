"""The transform from a picture to the tensor that a backbone expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.transforms import MaybeToTensor
from timm.data.transforms_factory import create_transform as create_timm_transform
from torch import Tensor


@dataclass(frozen=True)
class ImageTransform:
    """A transform in two steps, between which an image takes a quarter of the memory.

    Parameters
    ----------
    resize : callable
        Resizes and crops an RGB picture.
    standardise : callable
        Subtracts the mean and divides by the standard deviation of each channel, for values from 0
        to 1 of shape (..., 3, height, width).

    Examples
    --------
    >>> from PIL import Image
    >>> from autoplace.data import create_transform
    >>> transform = create_transform({"input_size": [3, 32, 32]})
    >>> image = Image.new("RGB", (200, 100))
    >>> pixels = transform.pixels(image)
    >>> pixels.dtype, transform.normalise(pixels).equal(transform(image))
    (torch.uint8, True)
    """

    resize: Callable[[Image.Image], Image.Image]
    standardise: Callable[[Tensor], Tensor]

    def pixels(self, image: Image.Image) -> Tensor:
        """Resize and crop a picture; returns uint8 (3, height, width)."""
        values = np.array(self.resize(image), dtype=np.uint8)
        return torch.from_numpy(values).permute(2, 0, 1).contiguous()

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn pixels (..., 3, height, width) into what a backbone expects, in float32."""
        return self.standardise(pixels.to(torch.float32).div(255))

    def __call__(self, image: Image.Image) -> Tensor:
        return self.normalise(self.pixels(image))


def create_transform(data_config: Mapping[str, Any]) -> ImageTransform:
    """Create timm's evaluation transform from a backbone's data config.

    Training uses it too: without random augmentation, the activations of frozen layers are constant
    and can be cached.

    Parameters
    ----------
    data_config : mapping of str to Any
        The result of `timm.data.resolve_model_data_config`, possibly read back from JSON.

    Returns
    -------
    ImageTransform
        Maps an RGB picture of any size to a float32 tensor of shape (3, height, width).

    Examples
    --------
    >>> from PIL import Image
    >>> from autoplace.data import create_transform
    >>> transform = create_transform({"input_size": [3, 32, 32]})
    >>> transform(Image.new("RGB", (200, 100))).shape
    torch.Size([3, 32, 32])
    """
    whole = create_timm_transform(**timm_options(data_config), is_training=False)
    steps, compose = whole.transforms, type(whole)
    (middle,) = (i for i, step in enumerate(steps) if isinstance(step, MaybeToTensor))
    return ImageTransform(compose(steps[:middle]), compose(steps[middle + 1 :]))


def timm_options(data_config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a data config as keywords of timm's `create_transform`; JSON has no tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data_config.items()}
