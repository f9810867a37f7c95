"""Random views of training images: shifted, and optionally mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_MARGIN = 8  # an image is shifted by up to an eighth of its side


@dataclass(frozen=True)
class Augmentation:
    """Random views of training images: which view an epoch sees, and how it is made.

    A view depends only on the seed, its number and the image's index, so it can be reproduced.

    Parameters
    ----------
    kind : str
        "crop" shifts an image by up to an eighth of its side and fills the gap by reflection;
        "crop-flip" also mirrors it left to right with probability one half.
    views : int, default=0
        Number of views of each image, used in turn; 0 makes a new view in every epoch.
    seed : int, default=0
        Seed of the shifts and flips.

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

    def view(self, epoch: int) -> int:
        """Return the number of the view that an epoch sees."""
        return epoch % self.views if self.views else epoch

    def apply(self, images: Tensor, indices: Tensor, view: int) -> Tensor:
        """Make one view of each image of a batch.

        Parameters
        ----------
        images : Tensor
            Images of shape (batch, 3, height, width).
        indices : Tensor
            Indices of the images in their split, of shape (batch,).
        view : int
            Number of the view.

        Returns
        -------
        Tensor
            Images of the same shape.
        """
        height, width = images.shape[-2:]
        margins = height // _MARGIN, width // _MARGIN
        padded = functional.pad(images, (margins[1],) * 2 + (margins[0],) * 2, mode="reflect")
        seen = []
        for image, index in zip(padded, indices.tolist(), strict=True):
            rng = np.random.default_rng([self.seed, view, index])
            top, left = (int(rng.integers(2 * margin + 1)) for margin in margins)
            part = image[:, top : top + height, left : left + width]
            turned = self.kind == "crop-flip" and rng.random() < 0.5
            seen.append(part.flip(-1) if turned else part)
        return torch.stack(seen)

    def __str__(self) -> str:
        return f"{self.kind}:views={self.views}" if self.views else self.kind
