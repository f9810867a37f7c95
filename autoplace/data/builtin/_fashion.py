"""Garments of Fashion-MNIST's test images, compared with each other.

Backbones that the project trained have seen the training images one at a time, with their class.
They have never seen these, nor compared two.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from autoplace.data.builtin._installed import installed
from autoplace.data.builtin._pools import pool
from autoplace.data.builtin._task import Family

_PACKAGE = "Debian's package dataset-fashion-mnist"
_CLASSES = 10


def _files() -> tuple[Path, Path]:
    """Return the files of images and labels."""
    folder = "datasets/fashion-mnist"
    return (
        installed(f"{folder}/t10k-images-idx3-ubyte.gz", _PACKAGE),
        installed(f"{folder}/t10k-labels-idx1-ubyte.gz", _PACKAGE),
    )


def _read(path: Path, skip: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=skip)


@cache
def _images(path: Path) -> np.ndarray:
    """Read the 10,000 test images, of shape (images, 28, 28)."""
    return _read(path, 16).reshape(-1, 28, 28)


@cache
def _of_class(labels: Path, kind: int, split: int) -> list[int]:
    return pool(np.flatnonzero(_read(labels, 8) == kind).tolist(), split)


def _pick(rng: np.random.Generator, kind: int, split: int) -> np.ndarray:
    images, labels = _files()
    rows = _of_class(labels, kind, split)
    image: np.ndarray = _images(images)[rows[rng.integers(len(rows))]]
    return image[:, ::-1] if rng.random() < 0.5 else image


def _same(rng: np.random.Generator, label: int, split: int) -> Image.Image:
    """Show two garments, the left one higher or lower; label 1 means that the classes are equal."""
    first = int(rng.integers(_CLASSES))
    second = first if label else int((first + rng.integers(1, _CLASSES)) % _CLASSES)
    frame = np.zeros((60, 60), np.uint8)
    low = rng.integers(0, 5, 4)
    rows = (low[0], 28 + low[1]) if rng.random() < 0.5 else (28 + low[1], low[0])
    for row, column, kind in ((rows[0], low[2], first), (rows[1], 28 + low[3], second)):
        frame[row : row + 28, column : column + 28] = _pick(rng, kind, split)
    return Image.fromarray(frame).convert("RGB")


def _odd(rng: np.random.Generator, label: int, split: int) -> Image.Image:
    """Show four garments, three of one class; the label is the cell of the fourth."""
    common, other = rng.permutation(_CLASSES)[:2]
    frame = np.zeros((60, 60), np.uint8)
    for cell in range(4):
        row, column = 30 * (cell // 2) + 1, 30 * (cell % 2) + 1
        kind = int(other if cell == label else common)
        frame[row : row + 28, column : column + 28] = _pick(rng, kind, split)
    return Image.fromarray(frame).convert("RGB")


_FAMILY = Family(
    name="fashion",
    source=f"Fashion-MNIST, test images ({_PACKAGE})",
    licence="MIT",
    files=_files,
)

TASKS = (
    _FAMILY.task(
        "same",
        "structured",
        "whether two garments are of the same class",
        ("different", "same"),
        _same,
    ),
    _FAMILY.task(
        "odd",
        "structured",
        "which of four garments is of a different class",
        ("top-left", "top-right", "bottom-left", "bottom-right"),
        _odd,
    ),
)
