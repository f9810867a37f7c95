"""Generated microscopy: the state of the cells, and how many there are."""

from __future__ import annotations

import numpy as np
from PIL import Image

from autoplace.data.builtin._task import Family

SIDE = 64
_STATES = ("resting", "dividing", "granular", "hollow", "ragged", "elongated")
_DENSITIES = (3, 6, 10, 15, 21)  # cells in the field

_row, _column = np.mgrid[:SIDE, :SIDE].astype(float)


def _cell(
    rng: np.random.Generator, state: str, centre: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cover and nucleus (SIDE, SIDE) in 0..1 of one cell."""
    angle = rng.uniform(0, np.pi)
    dx, dy = _column - centre[0], _row - centre[1]
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    long = {"elongated": 1.75, "dividing": 1.35}.get(state, rng.uniform(1.0, 1.2))
    distance = np.hypot(u / long, v * (long if state == "elongated" else 1.0))
    if state == "ragged":
        phase, lobes = rng.uniform(0, 2 * np.pi), int(rng.integers(6, 9))
        distance = distance * (1 + 0.22 * np.sin(lobes * np.arctan2(v, u) + phase))
    cover = np.clip(radius - distance + 0.5, 0, 1)
    core = 0.42 * radius
    if state == "dividing":
        apart = 0.55 * radius
        nucleus = np.maximum(
            np.clip(core * 0.8 - np.hypot(u - apart, v) + 0.5, 0, 1),
            np.clip(core * 0.8 - np.hypot(u + apart, v) + 0.5, 0, 1),
        )
    elif state == "granular":
        grains = rng.uniform(-0.6, 0.6, (8, 2)) * radius
        nucleus = np.max([np.clip(1.3 - np.hypot(dx - x, dy - y), 0, 1) for x, y in grains], 0)
    elif state == "hollow":
        nucleus = np.clip(1.4 - np.abs(distance - 0.6 * radius), 0, 1)
    else:
        nucleus = np.clip(core - distance + 0.5, 0, 1)
    return cover, nucleus * cover


def _field(rng: np.random.Generator, states: list[str], radius: float) -> Image.Image:
    """Paint cells, which may touch, on an unevenly lit ground."""
    tint, ground = rng.uniform(60, 190, 3), rng.uniform(170, 245, 3)
    core = tint * rng.uniform(0.25, 0.6)
    slope = (_column * rng.uniform(-0.5, 0.5) + _row * rng.uniform(-0.5, 0.5))[..., None]
    pixels = ground + slope
    for state in states:
        centre = rng.uniform(4, SIDE - 4, 2)
        cover, nucleus = _cell(rng, state, centre, radius * rng.uniform(0.85, 1.15))
        alpha = 0.75 * cover[..., None]
        pixels = pixels * (1 - alpha) + tint * alpha
        pixels = pixels * (1 - nucleus[..., None]) + core * nucleus[..., None]
    pixels = pixels + rng.normal(0, rng.uniform(3, 14), pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _state(rng: np.random.Generator, label: int, _: int) -> Image.Image:
    """Paint two to five cells of one state and up to two resting ones."""
    states = [_STATES[label]] * int(rng.integers(2, 6)) + ["resting"] * int(rng.integers(0, 3))
    return _field(rng, states, rng.uniform(6.5, 9.5))


def _density(rng: np.random.Generator, label: int, _: int) -> Image.Image:
    """Paint few large or many small cells; the covered area does not give their number away."""
    count = _DENSITIES[label] + int(rng.integers(-1, 2))
    radius = 16.0 / np.sqrt(count) * rng.uniform(0.8, 1.25)
    return _field(rng, [str(state) for state in rng.choice(_STATES, count)], radius)


_FAMILY = Family(name="cells")

TASKS = (
    _FAMILY.task("states", "specialised", "in which state most cells are", _STATES, _state),
    _FAMILY.task(
        "density",
        "specialised",
        "about how many cells there are",
        tuple(map(str, _DENSITIES)),
        _density,
    ),
)
