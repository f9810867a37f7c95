"""Image folders on which hyper-parameters are chosen and nothing is ever reported.

`fashion`: 1,000 of Fashion-MNIST's test images; `glyphs`: pen strokes of ten new classes in random
colours on random backgrounds. Neither is among the built-in data sets.
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
    """Write both folders below `root`, one sub-folder a class; returns them."""
    return [_fashion(root / "fashion", fashion_mnist), _glyphs(root / "glyphs")]


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


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
