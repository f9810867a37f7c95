"""Small image folders on disk, made for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoplace.data import create_transform


@pytest.fixture(scope="session")
def transform():
    return create_transform(
        {
            "input_size": [3, 32, 32],
            "interpolation": "bicubic",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "crop_pct": 1.0,
            "crop_mode": "center",
        }
    )


@pytest.fixture
def write_images(tmp_path) -> Callable[[Iterable[str]], Path]:
    """Write a different picture to each path below a folder, and return that folder."""

    def write(paths: Iterable[str], folder: str = "pets") -> Path:
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        for path in paths:
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(list(path.encode()))
            pixels = rng.integers(0, 256, size=(12, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(target)
        return root

    return write


@pytest.fixture
def flat_folder(write_images) -> Path:
    return write_images(f"{label}/{i}.png" for label in ("cat", "dog") for i in range(10))
