"""Generated scenes of coloured outlines: count, location, orientation, size.

They are a small version of VTAB's "structured" group. Colours, textures, places and distractors
are random in every scene, so that single pixels tell little about the class.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from autoplace.data.builtin._canvas import SIDE, Canvas
from autoplace.data.builtin._task import Family


def _any_angle(rng: np.random.Generator) -> float:
    return float(rng.uniform(0, 2 * np.pi))


def _count(rng: np.random.Generator, label: int, _: int) -> Image.Image:
    """Paint one to six objects. The area they cover together does not depend on their number."""
    n_objects = label + 1
    radius_of_one = rng.uniform(11, 14)
    while True:
        canvas = Canvas(rng)
        for _ in range(n_objects):
            radius = radius_of_one / np.sqrt(n_objects) * rng.uniform(0.85, 1.2)
            centre = canvas.find_place(radius)
            if centre is None:
                break
            outline = rng.choice(["disc", "square", "triangle", "hexagon", "star", "cross"])
            canvas.paint(str(outline), centre, radius, _any_angle(rng))
        else:
            return canvas.finish()


def _location(rng: np.random.Generator, label: int, _: int) -> Image.Image:
    """Paint a star in one of 3x3 cells, and two to five other shapes in other cells."""
    canvas = Canvas(rng)
    cell_side = SIDE / 3
    others = rng.permutation([cell for cell in range(9) if cell != label])
    for position, cell in enumerate([label, *others[: rng.integers(2, 6)]]):
        row, column = divmod(int(cell), 3)
        radius = rng.uniform(7.5, 9.5)
        jitter = rng.uniform(-1.2, 1.2, size=2)
        centre = ((column + 0.5) * cell_side + jitter[0], (row + 0.5) * cell_side + jitter[1])
        outline = "star" if position == 0 else str(rng.choice(["disc", "square", "triangle"]))
        canvas.paint(outline, centre, radius, _any_angle(rng))
    return canvas.finish()


def _orientation(rng: np.random.Generator, label: int, _: int) -> Image.Image:
    """Paint an arrow within 17 degrees of one of eight directions, and up to two discs."""
    canvas = Canvas(rng)
    angle = label * np.pi / 4 + np.deg2rad(rng.uniform(-17, 17))
    radius = rng.uniform(13, 21)
    centre = canvas.find_place(radius)
    assert centre is not None, "an empty canvas has room for any arrow"
    canvas.paint("arrow", centre, radius, float(angle))
    for _ in range(rng.integers(0, 3)):
        radius = rng.uniform(3, 6)
        centre = canvas.find_place(radius)
        if centre is not None:
            canvas.paint("disc", centre, radius, 0.0)
    return canvas.finish()


def _size(rng: np.random.Generator, label: int, _: int) -> Image.Image:
    """Paint a disc of one of five sizes, and up to three squares and triangles of any size."""
    canvas = Canvas(rng)
    radius = (4.5, 7.5, 10.5, 13.5, 16.5)[label] + rng.uniform(-0.9, 0.9)
    centre = canvas.find_place(radius)
    assert centre is not None, "an empty canvas has room for any disc"
    canvas.paint("disc", centre, radius, 0.0)
    for _ in range(rng.integers(1, 4)):
        radius = rng.uniform(5, 16)
        centre = canvas.find_place(radius)
        if centre is not None:
            canvas.paint(str(rng.choice(["square", "triangle"])), centre, radius, _any_angle(rng))
    return canvas.finish()


_CELLS = "top-left top top-right left centre right bottom-left bottom bottom-right"
_DIRECTIONS = "east north-east north north-west west south-west south south-east"


_FAMILY = Family(name="shapes")

TASKS = (
    _FAMILY.task("count", "structured", "how many objects", [str(n) for n in range(1, 7)], _count),
    _FAMILY.task("location", "structured", "in which cell the star is", _CELLS.split(), _location),
    _FAMILY.task(
        "orientation", "structured", "where the arrow points", _DIRECTIONS.split(), _orientation
    ),
    _FAMILY.task(
        "size",
        "structured",
        "how large the disc is",
        ["tiny", "small", "medium", "large", "huge"],
        _size,
    ),
)
