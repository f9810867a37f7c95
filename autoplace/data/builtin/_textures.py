"""Generated textures of ten kinds: how coarse they are."""

from __future__ import annotations

import numpy as np
from PIL import Image

from autoplace.data.builtin._task import Family

SIDE = 64
# Pixels from one element of a texture to the next.
_COARSENESS = (5.0, 7.5, 11.0, 16.5, 24.0)

Field = np.ndarray
_row, _column = np.mgrid[:SIDE, :SIDE].astype(float)


def _plane(rng: np.random.Generator, period: float) -> tuple[Field, Field]:
    """Return two perpendicular coordinates (SIDE, SIDE), turned and shifted, in periods."""
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle) / period, np.sin(angle) / period
    u, v = rng.uniform(0, 1, 2)
    return _column * cos + _row * sin + u, _row * cos - _column * sin + v


def _stripes(rng: np.random.Generator, period: float) -> Field:
    return np.asarray(np.sin(2 * np.pi * _plane(rng, period)[0]))


def _checks(rng: np.random.Generator, period: float) -> Field:
    u, v = _plane(rng, period)
    return np.asarray((np.floor(u) + np.floor(v)) % 2 * 2 - 1)


def _dots(rng: np.random.Generator, period: float) -> Field:
    u, v = _plane(rng, period)
    return np.asarray(np.where(np.hypot(u % 1 - 0.5, v % 1 - 0.5) < 0.28, 1.0, -1.0))


def _bricks(rng: np.random.Generator, period: float) -> Field:
    u, v = _plane(rng, period)
    u = u / 2 + np.floor(v) % 2 / 2
    return np.asarray(np.where((u % 1 < 0.08) | (v % 1 < 0.16), -1.0, 1.0))


def _waves(rng: np.random.Generator, period: float) -> Field:
    u, v = _plane(rng, period)
    return np.asarray(np.sin(2 * np.pi * (v + 0.35 * np.sin(2 * np.pi * u / 2))))


def _rings(rng: np.random.Generator, period: float) -> Field:
    centre = rng.uniform(0, SIDE, 2)
    return np.asarray(np.sin(2 * np.pi * np.hypot(_row - centre[0], _column - centre[1]) / period))


def _points(rng: np.random.Generator, period: float) -> Field:
    """Return distances (points, SIDE, SIDE) to points one period apart on average."""
    count = max(4, round(((SIDE + 2 * period) / period) ** 2))
    y, x = rng.uniform(-period, SIDE + period, (2, count, 1, 1))
    return np.asarray(np.hypot(_row - y, _column - x))


def _cells(rng: np.random.Generator, period: float) -> Field:
    nearest = np.partition(_points(rng, period), 1, axis=0)[:2]
    return np.asarray(np.where(nearest[1] - nearest[0] < 0.16 * period, -1.0, 1.0))


def _pebbles(rng: np.random.Generator, period: float) -> Field:
    return np.asarray(1 - 2 * np.clip(_points(rng, period).min(0) / (0.6 * period), 0, 1))


def _clouds(rng: np.random.Generator, period: float) -> Field:
    """Filter white noise with a Gaussian in the frequency domain."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    spectrum = np.fft.rfft2(rng.normal(size=(SIDE, SIDE)))
    smooth = np.fft.irfft2(spectrum * np.exp(-((frequency * period) ** 2) * 2), (SIDE, SIDE))
    return np.asarray((smooth - smooth.mean()) / (2 * smooth.std() + 1e-9))


def _weave(rng: np.random.Generator, period: float) -> Field:
    u, v = _plane(rng, period)
    over = (np.floor(u) + np.floor(v)) % 2 == 0
    return np.asarray(2 * np.abs(np.sin(np.pi * np.where(over, u, v))) - 1)


_KINDS = (
    _stripes, _checks, _dots, _bricks, _waves, _rings, _cells, _pebbles, _clouds, _weave,
)  # fmt: skip


def _paint(rng: np.random.Generator, field: Field) -> Image.Image:
    """Paint a field in -1..1 with two random colours, unevenly lit, with noise."""
    one, two = rng.uniform(0, 255, (2, 3))
    while np.abs(one - two).mean() < 50:
        two = rng.uniform(0, 255, 3)
    mix = np.clip(field * rng.uniform(0.6, 1.0), -1, 1)[..., None] / 2 + 0.5
    light = 1 + rng.uniform(-0.35, 0.35) * (_plane(rng, SIDE)[0] % 1)[..., None]
    pixels = (one * mix + two * (1 - mix)) * light
    pixels += rng.normal(0, rng.uniform(4, 30), pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _scale(rng: np.random.Generator, label: int, _: int) -> Image.Image:
    period = _COARSENESS[label] * rng.uniform(0.88, 1.12)
    return _paint(rng, _KINDS[int(rng.integers(len(_KINDS)))](rng, float(period)))


_FAMILY = Family(name="textures")

TASKS = (
    _FAMILY.task(
        "scales",
        "structured",
        "how coarse a texture is",
        ["very fine", "fine", "medium", "coarse", "very coarse"],
        _scale,
    ),
)
