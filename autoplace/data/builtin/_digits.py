"""Handwritten digits of 8x8 pixels, which come with scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from autoplace.data.builtin._task import SIZES, BuiltinTask, Pictures


@dataclass(frozen=True, kw_only=True)
class DigitsTask(BuiltinTask):
    """All 1,797 pictures in a stratified, seeded split; 797 are left for test."""

    def pictures(self, seed: int) -> dict[str, Pictures]:
        pixels, labels = load_digits(return_X_y=True)
        images = np.round(pixels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        held_back = len(labels) - SIZES["train"] - SIZES["val"]
        rest, test = train_test_split(
            np.arange(len(labels)), test_size=held_back, stratify=labels, random_state=seed
        )
        train, val = train_test_split(
            rest, test_size=SIZES["val"], stratify=labels[rest], random_state=seed
        )
        rows = {"train": train, "val": val, "test": test}
        return {
            split: Pictures(labels[index], partial(_grey_as_rgb, images[index]))
            for split, index in rows.items()
        }


def _grey_as_rgb(pictures: np.ndarray, index: int) -> Image.Image:
    return Image.fromarray(pictures[index]).convert("RGB")


TASKS = (
    DigitsTask(
        name="digits",
        family="digits",
        group="natural",
        asks="which digit",
        classes=tuple(str(digit) for digit in range(10)),
        source="scikit-learn's load_digits (UCI optical recognition of handwritten digits)",
        licence="CC BY 4.0",
    ),
)
