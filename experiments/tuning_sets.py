"""Image folders on which hyper-parameters are chosen and nothing is ever reported.

`fashion`: 1,000 of Fashion-MNIST's test images; `glyphs`: pen strokes of ten new classes in random
colours on random backgrounds; `tallies`: one to five small ones of them, to be counted. None is
among the built-in data sets; head-only solves most of the first two, and little of the third.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "starter"))

from formula_images import FASHION_MNIST, backgrounds, glyphs

PER_CLASS = 100
SEED = 4242  # not a seed of the starter's pre-training


def write_tuning_sets(root: Path, fashion_mnist: Path = FASHION_MNIST) -> list[Path]:
    """Write the three folders below `root`, one sub-folder a class; returns them."""
    return [
        _fashion(root / "fashion", fashion_mnist),
        _glyphs(root / "glyphs"),
        _tallies(root / "tallies"),
    ]


def _fashion(folder: Path, source: Path) -> Path:
    raw = gzip.decompress((source / "t10k-images-idx3-ubyte.gz").read_bytes())
    images = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)
    raw = gzip.decompress((source / "t10k-labels-idx1-ubyte.gz").read_bytes())
    labels = np.frombuffer(raw, np.uint8, offset=8)
    for label in range(10):
        for number, row in enumerate(np.flatnonzero(labels == label)[:PER_CLASS]):
            _save(images[row], folder / str(label) / f"{number:03d}.png")
    return folder


def _glyphs(folder: Path) -> Path:
    rng = np.random.default_rng(SEED)
    bank = glyphs(10, PER_CLASS, rng)
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
