"""Painting of generated scenes: backgrounds, outlines, colours, free places."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw

SIDE = 64
_OVERSAMPLING = 4
_MIN_CONTRAST = 110.0  # Euclidean distance in 8-bit RGB; below it a shape is hard to see

Points = np.ndarray


def _regular(n_corners: int, inner: float = 1.0) -> Points:
    """Corners (n, 2) on the unit circle; `inner` < 1 pulls every other one in, for a star."""
    angles = np.arange(n_corners) * 2 * np.pi / n_corners - np.pi / 2
    radii = np.where(np.arange(n_corners) % 2 == 0, 1.0, inner)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def rotated(points: Points, angle: float) -> Points:
    """Turn points (n, 2) counter-clockwise, as seen on screen, by an angle in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = points.T
    return np.stack([cos * x + sin * y, cos * y - sin * x], axis=1)


def _cross(width: float) -> Points:
    """Corners (12, 2) on and within the unit circle; `width` is half an arm's width."""
    length = np.sqrt(1 - width**2)
    arm = np.array([(-width, -length), (width, -length), (width, -width)])
    # clockwise on screen, so that the arms follow one another around the outline
    return np.concatenate([rotated(arm, -quarter * np.pi / 2) for quarter in range(4)])


OUTLINES: dict[str, Points] = {
    "disc": _regular(48),
    "square": _regular(4),
    "triangle": _regular(3),
    "hexagon": _regular(6),
    "star": _regular(10, inner=0.42),
    "cross": _cross(0.3),
    # points east at angle 0
    "arrow": np.array(
        [(1, 0), (0.2, 0.55), (0.2, 0.2), (-1, 0.2), (-1, -0.2), (0.2, -0.2), (0.2, -0.55)]
    ),
}


class Canvas:
    """A 64x64 RGB scene being painted: a random textured background, then objects on it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._ground = rng.uniform(30, 225, size=(2, 3))
        self._pixels = self._background()
        self._taken: list[tuple[float, float, float]] = []

    def _smooth_noise(self, cells: int, channels: int) -> np.ndarray:
        """Noise (SIDE, SIDE, channels) in about -1..1 with features of SIDE / cells pixels."""
        coarse = self._rng.uniform(-1, 1, size=(channels, cells, cells)).astype(np.float32)
        layers = [
            np.asarray(Image.fromarray(layer).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
            for layer in coarse
        ]
        return np.stack(layers, axis=-1)

    def _background(self) -> np.ndarray:
        """Blend two colours, under a coarse and a fine texture."""
        mix = 0.5 + 0.5 * self._smooth_noise(int(self._rng.integers(2, 5)), 1)
        ground: np.ndarray = self._ground[0] * mix + self._ground[1] * (1 - mix)
        ground += self._rng.uniform(6, 20) * self._smooth_noise(int(self._rng.integers(8, 20)), 1)
        ground += self._rng.uniform(4, 12) * self._smooth_noise(SIDE // 2, 3)
        return ground

    def _visible_colour(self) -> np.ndarray:
        """Draw a colour that contrasts with the background's two colours and their mean."""
        ground = np.vstack([self._ground, self._ground.mean(axis=0)])
        best, best_contrast = np.zeros(3), -1.0
        for _ in range(30):
            hue, saturation, value = self._rng.uniform((0, 0.3, 0.15), (1, 1, 1))
            colour = 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, value))
            contrast = float(np.linalg.norm(ground - colour, axis=1).min())
            if contrast > best_contrast:
                best, best_contrast = colour, contrast
            if contrast >= _MIN_CONTRAST:
                break
        return best

    def find_place(self, radius: float, gap: float = 2.0) -> tuple[float, float] | None:
        """Find a random centre where a disc touches neither the edge nor other objects.

        Lengths are in pixels. None if there is no such place.
        """
        for _ in range(200):
            x, y = self._rng.uniform(radius + 1, SIDE - radius - 1, size=2)
            if all(np.hypot(x - u, y - v) >= radius + r + gap for u, v, r in self._taken):
                return float(x), float(y)
        return None

    def paint(self, outline: str, centre: tuple[float, float], radius: float, angle: float) -> None:
        """Add an outline in a random visible colour; lengths in pixels, angle in radians."""
        corners = (rotated(OUTLINES[outline], angle) * radius + centre) * _OVERSAMPLING
        mask = Image.new("L", (SIDE * _OVERSAMPLING, SIDE * _OVERSAMPLING))
        ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in corners], fill=255)
        cover = np.asarray(mask.reduce(_OVERSAMPLING), dtype=np.float32)[..., None] / 255
        shade = self._visible_colour() + self._rng.uniform(3, 10) * self._smooth_noise(16, 1)
        self._pixels = cover * shade + (1 - cover) * self._pixels
        self._taken.append((*centre, radius))

    def finish(self) -> Image.Image:
        """Return the scene, with sensor noise added."""
        noise = self._rng.normal(0, self._rng.uniform(2, 8), size=self._pixels.shape)
        return Image.fromarray(np.clip(self._pixels + noise, 0, 255).round().astype(np.uint8))
