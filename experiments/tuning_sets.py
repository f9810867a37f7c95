"""Image folders for making the panel of the log; no result is ever reported on them.

`polygons` and `glyphs`: irregular polygons and pen strokes of ten new classes each, in random
colours on random backgrounds; `tallies`: one to five small strokes, to be counted. Their generators
are those of the backbones' pre-training, not those of the built-in tasks.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "backbones"))

from formula_images import backgrounds, glyphs, polygons

PER_CLASS = 100
SEED = 4242  # not a seed of the starter's pre-training


def write_tuning_sets(root: Path) -> list[Path]:
    """Write the three folders under `root`, with one sub-folder per class, and return them."""
    rng = np.random.default_rng(SEED + 2)
    return [
        _on_backgrounds(root / "polygons", polygons(10, PER_CLASS, rng)[0], rng),
        _glyphs(root / "glyphs"),
        _tallies(root / "tallies"),
    ]


def _glyphs(folder: Path) -> Path:
    rng = np.random.default_rng(SEED)
    return _on_backgrounds(folder, glyphs(10, PER_CLASS, rng), rng)


def _on_backgrounds(folder: Path, bank: np.ndarray, rng: np.random.Generator) -> Path:
    """Put objects (10, PER_CLASS, 32, 32) in random colours on random backgrounds."""
    behind = backgrounds(10 * PER_CLASS, rng).astype(float)
    for label, number in np.ndindex(10, PER_CLASS):
        alpha = bank[label, number, ..., None] / 255.0
        scene = behind[label * PER_CLASS + number].transpose(1, 2, 0)
        ink = rng.uniform(0, 255, 3)
        pixels = scene * (1 - alpha) + ink * alpha
        _save(pixels.astype(np.uint8), folder / str(label) / f"{number:03d}.png")
    return folder


def _tallies(folder: Path) -> Path:
    rng = np.random.default_rng(SEED + 1)
    bank = glyphs(10, PER_CLASS, rng)
    scenes = backgrounds(10 * PER_CLASS, rng).astype(float).transpose(0, 2, 3, 1)
    cells = [(y, x) for y in (1, 11, 21) for x in (1, 11, 21)]  # three by three, ten pixels apart
    for index, scene in enumerate(scenes):
        count = 1 + index % 5
        for cell in rng.permutation(len(cells))[:count]:
            y, x = cells[cell] + rng.integers(-1, 2, 2)
            glyph = bank[rng.integers(10), rng.integers(PER_CLASS)]
            small = np.asarray(Image.fromarray(glyph).resize((10, 10), Image.Resampling.BOX))
            alpha = small[..., None] / 255.0
            part = scene[y : y + 10, x : x + 10]
            part[:] = part * (1 - alpha) + rng.uniform(0, 255, 3) * alpha
        _save(scene.astype(np.uint8), folder / str(count) / f"{index:03d}.png")
    return folder


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
