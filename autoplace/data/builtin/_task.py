"""A built-in task: what is asked of which pictures, where they come from, how they are had."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from autoplace.data.builtin._installed import unusual_origin

# VTAB-1k's protocol (Zhai et al. 2019): 1,000 labelled images to train on and to validate with.
SIZES = {"train": 800, "val": 200, "test": 2000}
OWN_CODE = "generated"
OWN_LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Pictures:
    """One split: labels (n,) as class indices, and a function of an index to its RGB picture."""

    labels: np.ndarray
    read: Callable[[int], Image.Image]


@dataclass(frozen=True, kw_only=True)
class BuiltinTask(ABC):
    """A task of the suite.

    Parameters
    ----------
    name : `family` or `family-question`.
    family : the source or generator its pictures come from; evaluation never divides it.
    group : "natural", "specialised" or "structured", as in VTAB.
    asks : what a class says of a picture, in a few words.
    classes : names of the classes; a label is an index into them.
    source, licence : of what the pictures are made from.
    version : raised whenever a picture or label would change; part of the fingerprint.
    """

    name: str
    family: str
    group: str
    asks: str
    classes: tuple[str, ...]
    source: str = OWN_CODE
    licence: str = OWN_LICENCE
    version: int = 1

    def describe(self) -> dict[str, Any]:
        """What can be told without making a picture; plain JSON values."""
        names = ("name", "family", "group", "asks", "classes", "source", "licence", "version")
        return {name: getattr(self, name) for name in names}

    @abstractmethod
    def pictures(self, seed: int) -> dict[str, Pictures]:
        """The splits "train", "val" and "test"; another seed, other pictures or another split.

        Raises DataError where what the pictures are made from is not installed.
        """

    def origin(self) -> str:
        """What the pictures are made from, where that is not what packages install; else empty.

        Part of the fingerprint.
        """
        return ""


# Of a random stream, a class index, and the split's number (0 train, 1 val, 2 test).
Draw = Callable[[np.random.Generator, int, int], Image.Image]


@dataclass(frozen=True, kw_only=True)
class DrawnTask(BuiltinTask):
    """A task whose pictures are drawn one by one, as many of each class as the sizes allow.

    draw : gives a picture of a class; every picture has a random stream of its own.
    files : gives the installed files that `draw` reads; raises DataError where one is missing.
    """

    draw: Draw
    files: Callable[[], Sequence[Path]] = tuple

    def origin(self) -> str:
        return unusual_origin(self.files())

    def pictures(self, seed: int) -> dict[str, Pictures]:
        self.files()
        found = {}
        for number, (split, size) in enumerate(SIZES.items()):
            balanced = np.arange(size) % len(self.classes)
            labels = np.random.default_rng([seed, number]).permutation(balanced)
            found[split] = Pictures(labels, partial(self._read, seed, number, labels))
        return found

    def _read(self, seed: int, split: int, labels: np.ndarray, index: int) -> Image.Image:
        question = self.name.removeprefix(f"{self.family}-")
        stream = [self.version, int.from_bytes(question.encode()), seed, split, index]
        return self.draw(np.random.default_rng(stream), int(labels[index]), split)


@dataclass(frozen=True, kw_only=True)
class Family:
    """What the drawn tasks of one family have in common; see BuiltinTask and DrawnTask."""

    name: str
    source: str = OWN_CODE
    licence: str = OWN_LICENCE
    version: int = 1
    files: Callable[[], Sequence[Path]] = tuple

    def task(
        self, question: str, group: str, asks: str, classes: Iterable[str], draw: Draw
    ) -> DrawnTask:
        """A task of this family, named `family-question`."""
        return DrawnTask(
            name=f"{self.name}-{question}",
            family=self.name,
            group=group,
            asks=asks,
            classes=tuple(classes),
            source=self.source,
            licence=self.licence,
            version=self.version,
            draw=draw,
            files=self.files,
        )
