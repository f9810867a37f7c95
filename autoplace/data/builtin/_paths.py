"""Generated curves: how many there are."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from autoplace.data.builtin._task import Family

SIDE = 64
_SCALE = 3
_POINTS = 40


def _curve(rng: np.random.Generator) -> np.ndarray:
    """Draw points (points, 2), in pixels, of a smooth open curve within the picture."""
    while True:
        turn = np.cumsum(rng.normal(0, 0.28, _POINTS)) + rng.uniform(0, 2 * np.pi)
        steps = np.stack([np.cos(turn), np.sin(turn)], 1) * rng.uniform(0.9, 1.5)
        path = np.cumsum(steps, 0)
        extent = path.max(0) - path.min(0)
        if (extent < SIDE - 14).all() and extent.max() > 20:
            return np.asarray(path - path.min(0) + 7 + rng.uniform(0, 1, 2) * (SIDE - 14 - extent))


def _apart(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.linalg.norm(one[:, None] - two[None], axis=-1).min())


def _picture(rng: np.random.Generator, curves: list[np.ndarray]) -> Image.Image:
    dark, light = rng.uniform(0, 90, 3), rng.uniform(170, 255, 3)
    paper, ink = (dark, light) if rng.random() < 0.5 else (light, dark)
    image = Image.new("L", (SIDE * _SCALE, SIDE * _SCALE))
    pen = ImageDraw.Draw(image)
    for path in curves:
        places = [tuple(point) for point in (path * _SCALE).tolist()]
        pen.line(places, 255, int(1.6 * _SCALE), joint="curve")
    cover = np.asarray(image.reduce(_SCALE), float)[..., None] / 255
    pixels = paper * (1 - cover) + ink * cover
    pixels += rng.normal(0, rng.uniform(2, 16), pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _number(rng: np.random.Generator, label: int, _: int) -> Image.Image:
    """Draw one to four curves that do not meet."""
    found: list[np.ndarray] = []
    for attempt in range(10_000):
        path = _curve(rng)[: _POINTS // 2]
        if all(_apart(path, other) > 5 for other in found):
            found.append(path)
        if len(found) > label:
            break
        if attempt % 200 == 199:
            found = []
    return _picture(rng, found)


_FAMILY = Family(name="paths")

TASKS = (
    _FAMILY.task(
        "number", "structured", "how many curves there are", ("1", "2", "3", "4"), _number
    ),
)
