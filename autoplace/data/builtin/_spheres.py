"""Generated scenes of shaded balls on a floor: where the light comes from, how far a ball is."""

from __future__ import annotations

import numpy as np
from PIL import Image

from autoplace.data.builtin._task import Family

SIDE = 64
_HORIZON = 22.0  # rows from the top
_DISTANCES = (1.0, 1.45, 2.1, 3.0, 4.4)  # of the red ball, in units of the nearest
_WAYS = ("right", "upper right", "top", "upper left", "left", "lower left", "bottom", "lower right")

_row, _column = np.mgrid[:SIDE, :SIDE].astype(float)


def _room(rng: np.random.Generator) -> np.ndarray:
    """Paint a wall above a chequered floor in perspective, of shape (SIDE, SIDE, 3)."""
    wall, light, dark = rng.uniform(60, 200, (3, 3))
    depth = 30.0 / np.maximum(_row - _HORIZON, 0.5)
    chequer = (np.floor(depth * 2) + np.floor((_column - SIDE / 2) * depth / 12)) % 2
    floor = np.where(chequer[..., None] > 0, light, 0.5 * light + 0.5 * dark)
    return np.asarray(np.where((_row > _HORIZON)[..., None], floor, wall))


def _ball(
    pixels: np.ndarray,
    centre: tuple[float, float],
    radius: float,
    colour: np.ndarray,
    light: np.ndarray,
) -> None:
    """Paint a ball with diffuse and specular shading.

    The light is a direction of shape (3,): right, down, towards the viewer.
    """
    x, y = (_column - centre[0]) / radius, (_row - centre[1]) / radius
    inside = x**2 + y**2 < 1
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
    diffuse = np.clip(x * light[0] + y * light[1] + z * light[2], 0, 1)
    shade = 0.22 + 0.78 * diffuse[..., None]
    lit = colour * shade + 120 * (diffuse[..., None] ** 24)
    pixels[inside] = lit[inside]


def _finish(rng: np.random.Generator, pixels: np.ndarray) -> Image.Image:
    noisy = pixels + rng.normal(0, rng.uniform(2, 10), pixels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _light(rng: np.random.Generator, label: int, _: int) -> Image.Image:
    """Paint one to three balls under one light; classes are directions 45 degrees apart."""
    angle = label * np.pi / 4 + np.deg2rad(rng.uniform(-15, 15))
    tilt = rng.uniform(0.7, 1.1)  # radians from the line of sight
    light = np.array([np.sin(tilt) * np.cos(angle), -np.sin(tilt) * np.sin(angle), np.cos(tilt)])
    pixels = _room(rng)
    for _ in range(int(rng.integers(1, 4))):
        radius = rng.uniform(7, 14)
        x, y = rng.uniform(radius, SIDE - radius, 2)
        _ball(pixels, (x, y), radius, rng.uniform(60, 230, 3), light)
    return _finish(rng, pixels)


def _depth(rng: np.random.Generator, label: int, _: int) -> Image.Image:
    """Paint a red ball among others on the floor.

    Its size varies, so that only where it stands tells the distance.
    """
    distance = _DISTANCES[label] * rng.uniform(0.9, 1.1)
    balls = [(distance, rng.uniform(0.7, 1.4), np.array([215.0, 40.0, 40.0]))]
    for _ in range(int(rng.integers(1, 4))):
        colour = rng.uniform(30, 230, 3) * (0.35, 1, 1)
        balls.append((rng.uniform(0.95, 4.8), rng.uniform(0.7, 1.4), colour))
    tilt = rng.uniform(-0.6, 0.6)
    light = np.array([np.sin(tilt), -0.6, np.cos(tilt)])
    light /= np.linalg.norm(light)
    pixels = _room(rng)
    for far, size, colour in sorted(balls, key=lambda ball: -ball[0]):
        foot, radius = _HORIZON + 38 / far, 10 * size / far
        x = SIDE / 2 + rng.uniform(-22, 22) * (0.4 + 0.6 / far)
        _ball(pixels, (x, foot - radius), max(radius, 1.5), colour, light)
    return _finish(rng, pixels)


_FAMILY = Family(name="spheres")

TASKS = (
    _FAMILY.task("light", "structured", "where the light comes from", _WAYS, _light),
    _FAMILY.task(
        "depth",
        "structured",
        "how far away the red ball is",
        ("nearest", "near", "middle", "far", "farthest"),
        _depth,
    ),
)
