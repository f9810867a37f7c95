"""Compose training images from banks of objects and backgrounds, with their labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from formula_images import KINDS, SIZE
from torch import Tensor

MAP = 6  # the maps of kinds are MAP x MAP
POSE = 11  # numbers in a pose
CLOTHES = 10  # classes of Fashion-MNIST, the first of the banks


class Composition(NamedTuple):
    """A batch of images with everything that is known about how they were made."""

    images: Tensor  # (batch, 3, 32, 32) in [-1, 1]
    single: Tensor  # (batch,) bool: whether one foremost object has a class and pose to predict
    classes: Tensor  # (batch,) its class
    pose: Tensor  # (batch, POSE), see `_pose`
    maps: Tensor  # (batch, 1 + kinds, MAP, MAP) share of a cell covered by any, and by each kind


class Composer:
    """Pastes objects at random places, scales, angles and colours into three kinds of image.

    Plain: one upright light object on black (or the reverse), like a scanned drawing. Single: one
    object in any pose, with or without much smaller ones around it. Crowd: two to five small
    objects.
    """

    slots = 5
    plain_share, single_share = 0.25, 0.4

    def __init__(self, banks: dict[str, np.ndarray], clothes: float, seed: int) -> None:
        """clothes: share of Fashion-MNIST's classes (the first 10) among the objects."""
        self.objects = torch.from_numpy(banks["objects"])
        self.classes = torch.from_numpy(banks["classes"])
        self.kinds = torch.from_numpy(banks["kinds"])
        self.backgrounds = torch.from_numpy(banks["backgrounds"])
        self.generator = torch.Generator().manual_seed(seed)
        self.n_classes = int(self.classes.max()) + 1
        # Classes are drawn evenly among clothes and among formula-drawn objects.
        weight = 1.0 / torch.bincount(self.classes)[self.classes].double()
        is_clothes = self.classes < CLOTHES
        weight[is_clothes] *= clothes / CLOTHES
        weight[~is_clothes] *= (1 - clothes) / (self.n_classes - CLOTHES)
        self.cumulative = torch.cumsum(weight, 0)

    def _rand(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.rand(shape, generator=self.generator) * (high - low) + low

    def _poses(self, plain: Tensor, crowd: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw scale (batch, slots), angle (batch, slots) and centre (batch, slots, 2)."""
        batch = len(plain)
        scale = torch.exp(self._rand(batch, self.slots, low=-1.4, high=-0.6))
        large = torch.exp(self._rand(batch, low=-1.2, high=0.05))
        scale[:, 0] = torch.where(crowd, scale[:, 0], large)
        scale[:, 0] = torch.where(plain, self._rand(batch, low=0.75, high=1.05), scale[:, 0])
        scale[:, 1:] = torch.where(crowd[:, None], scale[:, 1:], scale[:, :1] * scale[:, 1:] * 0.9)
        turn = self._rand(batch, self.slots, low=-torch.pi, high=torch.pi)
        upright = self._rand(batch, self.slots) < 0.35
        upright[:, 0] |= plain
        angle = torch.where(upright, turn * 0.08, turn)
        room = (1 - 0.8 * scale).clamp_min(0.12)
        centre = self._rand(batch, self.slots, 2, low=-1.0, high=1.0) * room[..., None]
        return scale, angle, centre

    def _paste(self, index: Tensor, scale: Tensor, angle: Tensor, centre: Tensor) -> Tensor:
        """Move objects (n, 32, 32) in [0, 1] to their places; arguments (n,), centre (n, 2)."""
        n = len(index)
        stretch = torch.exp(self._rand(n, low=-0.2, high=0.2))
        cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
        linear = torch.stack([cos * stretch, sin * stretch, -sin / stretch, cos / stretch], -1)
        linear = linear.reshape(n, 2, 2)
        shift = -linear @ centre[..., None]
        grid = F.affine_grid(
            torch.cat([linear, shift], -1), [n, 1, SIZE, SIZE], align_corners=False
        )
        grey = self.objects[index][:, None].float() / 255
        # Small copies use a blurred original, because sampling would otherwise skip thin strokes.
        small = scale < 0.6
        grey[small] = F.avg_pool2d(grey[small], 3, 1, 1)
        return F.grid_sample(grey, grid, padding_mode="zeros", align_corners=False)[:, 0]

    def draw(self, batch: int) -> Composition:
        """Draw the next random batch."""
        sort = self._rand(batch)
        plain = sort < self.plain_share
        crowd = sort > self.plain_share + self.single_share
        draws = torch.rand((batch, self.slots), generator=self.generator, dtype=torch.float64)
        index = torch.searchsorted(self.cumulative, draws).clamp_max(len(self.objects) - 1)
        scale, angle, centre = self._poses(plain, crowd)
        small_ones = self._rand(batch, low=-3, high=3).clamp_min(0)  # none in half the singles
        others = torch.where(crowd, self._rand(batch, low=1, high=5), small_ones).floor()
        others[plain] = 0
        present = torch.arange(self.slots) <= others[:, None]
        grey = torch.zeros(batch, self.slots, SIZE, SIZE)
        grey[present] = self._paste(index[present], scale[present], angle[present], centre[present])
        alpha = (grey * 3).clamp(0, 1) * present[..., None, None]

        pick = torch.randint(len(self.backgrounds), (batch,), generator=self.generator)
        image = self.backgrounds[pick].float() / 255
        image[plain] = 0
        # Distractors first: slot 0, whose pose is asked for, is never covered.
        for slot in reversed(range(self.slots)):
            colour = self._rand(batch, 3)
            behind = image.mean((2, 3))
            near = (colour - behind).abs().amax(1, keepdim=True) < 0.35
            colour = torch.where(near, (behind + 0.5) % 1.0, colour)
            colour[plain] = self._rand(int(plain.sum()), 1, low=0.6, high=1.0)
            shade = 0.3 + 0.7 * grey[:, slot, None]
            cover = alpha[:, slot, None]
            image = image * (1 - cover) + colour[..., None, None] * shade * cover

        # Later slots cover earlier ones: slot 0 is pasted last.
        uncovered = torch.cumprod(1 - alpha, dim=1).roll(1, dims=1)
        uncovered[:, 0] = 1
        seen = alpha * uncovered
        cells = F.adaptive_avg_pool2d(seen, MAP)
        maps = torch.zeros(batch, 1 + len(KINDS), MAP, MAP)
        maps[:, 0] = cells.sum(1).clamp(0, 1)
        where = (1 + self.kinds[index])[..., None, None].expand_as(cells)
        maps.scatter_add_(1, where, cells)
        return Composition(
            images=self._degrade(image, plain) * 2 - 1,
            single=~crowd,
            classes=self.classes[index[:, 0]],
            pose=_pose(alpha[:, 0], scale[:, 0], angle[:, 0]),
            maps=maps.clamp(0, 1),
        )

    def _degrade(self, image: Tensor, plain: Tensor) -> Tensor:
        """Make some images grey, inverted, noisy or low-resolution, (batch, 3, 32, 32)."""
        batch = len(image)
        grey = self._rand(batch) < 0.2
        image[grey] = image[grey].mean(1, keepdim=True).expand(-1, 3, -1, -1)
        inverted = plain & (self._rand(batch) < 0.3)
        image[inverted] = 1 - image[inverted]
        noise = torch.randn(image.shape, generator=self.generator)
        image = image + noise * (self._rand(batch, 1, 1, 1, high=0.1) - 0.04).clamp_min(0)
        coarse = self._rand(batch) < torch.where(plain, 0.5, 0.1)
        side = int(torch.randint(8, 17, (), generator=self.generator))
        small = F.interpolate(image[coarse], size=(side, side), mode="area")
        image[coarse] = F.interpolate(small, size=(SIZE, SIZE), mode="bicubic")
        return image.clamp(0, 1)


def _pose(alpha: Tensor, scale: Tensor, angle: Tensor) -> Tensor:
    """Compute an object's pose from its parameters and mask: (batch, 32, 32) -> (batch, POSE).

    Centre of mass, log scale, sine and cosine of the angle, root of the area, root mean square
    radius, the principal axis as (cos 2a, sin 2a) times anisotropy (from the second moments), and
    the side to which the mask leans (from the third).
    """
    axis = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    mass = alpha.sum((1, 2)).clamp_min(1)
    x = (alpha.sum(1) * axis).sum(1) / mass
    y = (alpha.sum(2) * axis).sum(1) / mass
    dx, dy = axis - x[:, None], axis - y[:, None]
    xx = (alpha.sum(1) * dx**2).sum(1) / mass
    yy = (alpha.sum(2) * dy**2).sum(1) / mass
    xy = torch.einsum("nyx,ny,nx->n", alpha, dy, dx) / mass
    trace = (xx + yy).clamp_min(1e-4)
    square = dy[:, :, None] ** 2 + dx[:, None, :] ** 2
    lean_x = torch.einsum("nyx,nyx,nx->n", alpha, square, dx) / mass / trace**1.5
    lean_y = torch.einsum("nyx,nyx,ny->n", alpha, square, dy) / mass / trace**1.5
    columns = [
        x, y, scale.log(), angle.sin(), angle.cos(),
        mass.sqrt() / SIZE * 2, trace.sqrt() * 2, (xx - yy) / trace, 2 * xy / trace,
        lean_x, lean_y,
    ]  # fmt: skip
    return torch.stack(columns, 1)
