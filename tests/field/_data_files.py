"""Folders and tables as people have them, small and seeded, and what is read from them."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from autoplace.data import TaskData, create_transform, load_data

TRANSFORM = create_transform({"input_size": [3, 8, 8]})

# What a path of a tree gets: so many images, a file's content, or a link.
Spec = int | str | bytes | Path


@cache
def picture(number: int, form: str = "PNG") -> bytes:
    """An image file of 6 pixels a side; another for each number."""
    rng = np.random.default_rng(number)
    data = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(data, form)
    return data.getvalue()


def write_tree(root: Path, tree: Mapping[str, Spec]) -> Path:
    """Write images, files and links below a folder.

    A number makes a folder of so many images, of different pixels; 0 makes an empty folder. Text
    and bytes are the content of a file, and a path is where a link leads to.
    """
    root.mkdir(parents=True, exist_ok=True)
    number = 0
    for name, spec in tree.items():
        target = root / name
        if isinstance(spec, int):
            target.mkdir(parents=True, exist_ok=True)
            for index in range(spec):
                number += 1
                (target / f"{index}.png").write_bytes(picture(number))
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(spec, Path):
            target.symlink_to(spec)
        else:
            target.write_bytes(spec.encode() if isinstance(spec, str) else spec)
    return root


def broken(folder: str, count: int, suffix: str = ".png") -> dict[str, Spec]:
    """Files with the names of images and no image in them."""
    return {f"{folder}/{index}{suffix}": b"no image" for index in range(count)}


def pictures(folder: str, count: int, suffix: str, form: str = "PNG") -> dict[str, Spec]:
    """Images under names with another suffix."""
    return {f"{folder}/{index}{suffix}": picture(1000 + index, form) for index in range(count)}


def write_table(
    root: Path,
    header: Sequence[str] = ("path", "label"),
    *,
    separator: str = ",",
    name: str = "table.csv",
    encoding: str = "utf-8",
    row: Mapping[str, str] | None = None,
    first: str = "",
) -> Path:
    """Write images `img/a0.png` to `img/b9.png` and a table with a row for each.

    The header names the columns. A column is filled with the path, if its entry in `row` is absent
    and it is the first, or the label; `row` maps a column to a template of `path`, `label`, `split`
    and `number`.
    """
    root.mkdir(parents=True, exist_ok=True)
    (root / "img").mkdir(exist_ok=True)
    lines = [separator.join(header)]
    for number in range(20):
        label, at = ("cat", "dog")[number // 10], number % 10
        path = f"img/{'ab'[number // 10]}{at}.png"
        (root / path).write_bytes(picture(number))
        split = "train" if at < 6 else "val" if at < 8 else "test"
        values = {"path": path, "label": label, "split": split, "number": number}
        values["back"] = path.replace("/", "\\")
        values["valid"] = str(split == "val")
        values["tested"] = str(int(split == "test"))
        templates = {header[0]: "{path}", header[-1]: "{label}"} | dict(row or {})
        lines.append(separator.join(templates.get(c, "x").format(**values) for c in header))
    table = root / name
    table.write_bytes((first + "\n".join(lines) + "\n").encode(encoding))
    return table


def load(source: Path, **options: object) -> TaskData:
    """Load data as every command does."""
    return load_data(source, transform=TRANSFORM, **options)  # type: ignore[arg-type]


def totals(data: TaskData) -> dict[str, int]:
    """Images of each class over all splits."""
    return {label: sum(counts.values()) for label, counts in data.class_counts().items()}


def splits(data: TaskData) -> dict[str, tuple[int, ...]]:
    """Images of each class in train, val and test."""
    return {label: tuple(counts.values()) for label, counts in data.class_counts().items()}


def under_bytes(root: Path, name: bytes) -> str:
    """A path whose name is not UTF-8."""
    return os.path.join(root, os.fsdecode(name))
