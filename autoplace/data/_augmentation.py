"""Random views of images: shifted, mirrored, changed by one of timm's policies, partly erased."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.random_erasing import RandomErasing
from timm.data.transforms_factory import create_transform as create_timm_transform
from torch import Tensor
from torch.nn import functional

from autoplace.data._random_state import random_state
from autoplace.data._transforms import timm_options

_MARGIN = 8  # an image is shifted by up to an eighth of its side

# In timm's notation; the settings of timm's own recipes.
POLICIES = {
    "randaugment": "rand-m9-mstd0.5-inc1",
    "autoaugment": "original-mstd0.5",
    "augmix": "augmix-m3-w3",
    "3augment": "3a",
}


@dataclass(frozen=True)
class Augmentation:
    """Random views of images that are trained on: which view an epoch sees, and how it is made.

    A view depends only on the seed, its number and the image's index, so it can be reproduced.

    Parameters
    ----------
    kind : str
        "none" changes nothing; "crop" shifts an image by up to an eighth of its side and fills the
        gap by reflection; "crop-flip" also mirrors it left to right with probability one half.
        "randaugment" (Cubuk et al. 2020), "autoaugment" (Cubuk et al. 2019), "augmix" (Hendrycks
        et al. 2020) and "3augment" (Touvron et al. 2022) shift and mirror it, and then apply timm's
        policy of that name.
    views : int, default=0
        Number of views of each image, used in turn; 0 makes a new view in every epoch.
    seed : int, default=0
        Seed of the views.
    erasing : float, default=0.0
        Probability that a random part of an image is replaced by noise (Zhong et al. 2020).
    data_config : mapping of str to Any, optional
        The backbone's data config, which timm's policies need.

    Examples
    --------
    >>> import torch
    >>> from autoplace.data import Augmentation
    >>> augmentation = Augmentation("crop-flip", views=4)
    >>> [augmentation.view(epoch) for epoch in range(6)]
    [0, 1, 2, 3, 0, 1]
    >>> images, indices = torch.rand(2, 3, 16, 16), torch.tensor([7, 8])
    >>> first = augmentation.apply(images, indices, view=0)
    >>> first.shape, first.equal(augmentation.apply(images, indices, view=0))
    (torch.Size([2, 3, 16, 16]), True)
    """

    kind: str
    views: int = 0
    seed: int = 0
    erasing: float = 0.0
    data_config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def view(self, epoch: int) -> int:
        """Return the number of the view that an epoch sees."""
        return epoch % self.views if self.views else epoch

    def apply(self, images: Tensor, indices: Tensor, view: int) -> Tensor:
        """Make one view of each image of a batch; erasing comes later, after normalisation.

        Parameters
        ----------
        images : Tensor
            Images of shape (batch, 3, height, width), in uint8 for timm's policies.
        indices : Tensor
            Indices of the images in their split, of shape (batch,).
        view : int
            Number of the view.

        Returns
        -------
        Tensor
            Images of the same shape and type.
        """
        if self.kind == "none":
            return images
        streams = [np.random.default_rng([self.seed, view, index]) for index in indices.tolist()]
        seen = self._shifted(images, streams)
        if self.kind not in POLICIES:
            return seen
        with random_state() as seed_all:
            changed = []
            for pixels, stream in zip(seen, streams, strict=True):
                seed_all(int(stream.integers(2**32)))
                picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
                changed.append(np.array(self._policy(picture)))
        return torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2).contiguous()

    def erase(self, images: Tensor, indices: Tensor, view: int) -> Tensor:
        """Replace parts of normalised images (batch, 3, height, width) by noise, in place."""
        if not self.erasing:
            return images
        erasing = RandomErasing(self.erasing, mode="pixel", device="cpu")
        with random_state() as seed_all:
            for image, index in zip(images, indices.tolist(), strict=True):
                stream = np.random.default_rng([self.seed, view, index, 1])
                seed_all(int(stream.integers(2**32)))
                erasing(image)
        return images

    def _shifted(self, images: Tensor, streams: list[np.random.Generator]) -> Tensor:
        height, width = images.shape[-2:]
        margins = height // _MARGIN, width // _MARGIN
        # Reflection is not implemented for uint8; float32 holds these values exactly.
        padded = functional.pad(
            images.float(), (margins[1],) * 2 + (margins[0],) * 2, mode="reflect"
        ).to(images.dtype)
        seen = []
        for image, rng in zip(padded, streams, strict=True):
            top, left = (int(rng.integers(2 * margin + 1)) for margin in margins)
            part = image[:, top : top + height, left : left + width]
            turned = self.kind != "crop" and rng.random() < 0.5
            seen.append(part.flip(-1) if turned else part)
        return torch.stack(seen)

    @cached_property
    def _policy(self) -> Callable[[Image.Image], Image.Image]:
        """Timm's policy: the second of the three parts of its training transform."""
        _, policy, _ = create_timm_transform(
            **timm_options(self.data_config),
            is_training=True,
            separate=True,
            auto_augment=POLICIES[self.kind],
        )
        changed: Callable[[Image.Image], Image.Image] = policy
        return changed

    def __str__(self) -> str:
        views = f":views={self.views}" if self.views else ""
        return f"{self.kind}{views}{f':erasing={self.erasing:g}' if self.erasing else ''}"
