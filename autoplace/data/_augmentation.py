"""Random views of training images: shifted, and mirrored where that is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_MARGIN = 8  # an image is shifted by up to an eighth of its side


@dataclass(frozen=True)
class Augmentation:
    """Which view of an image belongs to an epoch, and what it looks like.

    A view depends on the seed, its number and the image alone, so that it can be made again.

    Parameters
    ----------
    kind
        `crop` shifts an image by up to an eighth of its side, mirroring the margin into the gap;
        `crop-flip` also turns left to right, one time in two.
    views
        Views of each image, taken in turn; 0 means a new one in every epoch.
    """

    kind: str
    views: int = 0
    seed: int = 0

    def view(self, epoch: int) -> int:
        """The number of the view that an epoch sees."""
        return epoch % self.views if self.views else epoch

    def apply(self, images: Tensor, indices: Tensor, view: int) -> Tensor:
        """images: (batch, 3, height, width); indices: (batch,) in the split."""
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
