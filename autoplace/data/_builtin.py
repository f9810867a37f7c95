"""The built-in data sets: scikit-learn's digits and generated scenes."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from autoplace.data._errors import DataError
from autoplace.data._fingerprint import fingerprint
from autoplace.data._record import DecodingRecord
from autoplace.data._shapes import SCENE_KINDS, VERSION, SceneKind
from autoplace.data._split import ImageSplit
from autoplace.data._task_data import TaskData

PREFIX = "builtin:"
DIGITS_SIZES = {"train": 800, "val": 200, "test": 797}
SHAPES_SIZES = {"train": 800, "val": 200, "test": 1000}

Transform = Callable[[Image.Image], Tensor]


def list_builtin() -> list[str]:
    """The built-in data sets, each as `load_data` takes it."""
    return [f"{PREFIX}digits", *(f"{PREFIX}shapes-{name}" for name in SCENE_KINDS)]


def load_builtin(
    source: str, *, transform: Transform, seed: int, max_bad: float, family: str | None
) -> TaskData:
    """Load `builtin:NAME`. Raises DataError for an unknown name, with the nearest ones."""
    if source not in list_builtin():
        near = difflib.get_close_matches(source, list_builtin(), n=2, cutoff=0.4)
        hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
        raise DataError(
            f"unknown built-in data set '{source}'{hint}\nthere are: {', '.join(list_builtin())}"
        )
    name = source.removeprefix(PREFIX)
    if name == "digits":
        classes, labels, readers = _digits(seed)
        sizes, version, natural_family, group = DIGITS_SIZES, "digits", "digits", "natural"
    else:
        kind = SCENE_KINDS[name.removeprefix("shapes-")]
        classes, labels, readers = _scenes(kind, seed)
        sizes, version = SHAPES_SIZES, f"{name}-v{VERSION}"
        natural_family, group = "shapes", "structured"

    record = DecodingRecord(sum(sizes.values()), max_bad)
    splits = {
        split: ImageSplit(
            split,
            [f"{source}/{split}/{i:04d}" for i in range(size)],
            labels[split],
            read=readers[split],
            transform=transform,
            record=record,
        )
        for split, size in sizes.items()
    }
    return TaskData(
        name=name,
        source=source,
        family=family or natural_family,
        group=group,
        classes=classes,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        fingerprint=fingerprint(
            (split, f"{version}/seed={seed}/{i:04d}", classes[label], 0)
            for split in sizes
            for i, label in enumerate(labels[split])
        ),
        record=record,
    )


_Readers = dict[str, Callable[[int], Image.Image]]
_Labels = dict[str, np.ndarray]


def _digits(seed: int) -> tuple[tuple[str, ...], _Labels, _Readers]:
    """The 1,797 handwritten digits, 8x8, split stratified by the seed."""
    pixels, labels = load_digits(return_X_y=True)
    pictures = np.round(pixels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    rest, test = train_test_split(
        np.arange(len(labels)), test_size=DIGITS_SIZES["test"], stratify=labels, random_state=seed
    )
    train, val = train_test_split(
        rest, test_size=DIGITS_SIZES["val"], stratify=labels[rest], random_state=seed
    )
    rows = {"train": train, "val": val, "test": test}
    return (
        tuple(str(digit) for digit in range(10)),
        {split: labels[index] for split, index in rows.items()},
        {split: partial(_grey_as_rgb, pictures[index]) for split, index in rows.items()},
    )


def _grey_as_rgb(pictures: np.ndarray, index: int) -> Image.Image:
    return Image.fromarray(pictures[index]).convert("RGB")


def _scenes(kind: SceneKind, seed: int) -> tuple[tuple[str, ...], _Labels, _Readers]:
    """Scenes of one kind, as many of each class as the sizes allow; another seed, other scenes."""
    labels: _Labels = {}
    readers: _Readers = {}
    for number, (split, size) in enumerate(SHAPES_SIZES.items()):
        balanced = np.arange(size) % len(kind.classes)
        labels[split] = np.random.default_rng([seed, number]).permutation(balanced)
        readers[split] = partial(_draw, kind, seed, number, labels[split])
    return kind.classes, labels, readers


def _draw(kind: SceneKind, seed: int, split: int, labels: np.ndarray, index: int) -> Image.Image:
    return kind.draw(seed, split, index, int(labels[index]))
