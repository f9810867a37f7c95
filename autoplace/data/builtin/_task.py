"""A built-in task: its question, the source of its pictures, and how they are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from autoplace.data.builtin._installed import unusual_origin

# VTAB-1k's protocol (Zhai et al. 2019): 1,000 labelled images to train on and to validate with.
SIZES = {"train": 800, "val": 200, "test": 2000}
# Of the split on which the placement log measures outcomes that predictors learn from.
MEASUREMENT, MEASUREMENT_SIZE = "measurement", 2000
OWN_CODE = "generated"
OWN_LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Pictures:
    """The pictures of one split.

    Parameters
    ----------
    labels : ndarray
        Class indices of shape (pictures,).
    read : callable
        Returns the RGB picture at an index.
    """

    labels: np.ndarray
    read: Callable[[int], Image.Image]


@dataclass(frozen=True, kw_only=True)
class BuiltinTask(ABC):
    """A built-in task; `list_tasks` returns them.

    Parameters
    ----------
    name : str
        `family` or `family-question`.
    family : str
        The source or generator of its pictures. Evaluation on held-out data never divides it.
    group : str
        "natural", "specialised" or "structured", as in VTAB.
    asks : str
        What the class of a picture tells, in a few words.
    classes : tuple of str
        Names of the classes; a label is an index into them.
    source, licence : str
        Source and licence of the material that the pictures are made from.
    version : int, default=1
        Increased whenever a picture or label changes; part of the fingerprint.

    Examples
    --------
    >>> from autoplace.data import list_tasks
    >>> (task,) = list_tasks("textures-scales")
    >>> task.asks, task.classes
    ('how coarse a texture is', ('very fine', 'fine', 'medium', 'coarse', 'very coarse'))
    >>> train = task.pictures(seed=0)["train"]
    >>> train.labels.shape, train.read(0).size
    ((800,), (64, 64))
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
        """Describe the task in plain JSON values, without making a picture."""
        names = ("name", "family", "group", "asks", "classes", "source", "licence", "version")
        return {name: getattr(self, name) for name in names}

    @abstractmethod
    def pictures(self, seed: int) -> dict[str, Pictures]:
        """Make the splits "train", "val" and "test".

        Parameters
        ----------
        seed : int
            Another seed gives other pictures, or another split of the same pictures.

        Raises
        ------
        DataError
            If the files that the pictures are made from are not installed.
        """

    def measurement(self, seed: int) -> Pictures | None:
        """Make the measurement split, whose pictures are in no other split.

        Parameters
        ----------
        seed : int
            As for `pictures`, whose splits do not change.

        Returns
        -------
        Pictures or None
            None if the source has no further pictures.

        Raises
        ------
        DataError
            If the files that the pictures are made from are not installed.
        """
        return None

    def origin(self) -> str:
        """Identify the source files of the pictures if they come from `AUTOPLACE_PICTURES`.

        The text is part of the fingerprint; it is empty for files that packages installed.
        """
        return ""


# Maps a random stream, a class index and a pool of items (0 train, 1 val, 2 test) to a picture.
Draw = Callable[[np.random.Generator, int, int], Image.Image]
# Every item is in one of the three pools. Those of train are no measure of new items, and those of
# test must not be seen before the test; so the measurement split has new pictures of val's items.
_MEASURED_POOL = 1


@dataclass(frozen=True, kw_only=True)
class DrawnTask(BuiltinTask):
    """A task whose pictures are drawn one by one, with classes of equal size.

    Parameters
    ----------
    draw : callable
        Draws a picture of a class. Every picture has its own random stream.
    files : callable, default=tuple
        Returns the installed files that `draw` reads, or raises DataError if one is missing.
    """

    draw: Draw
    files: Callable[[], Sequence[Path]] = tuple

    def origin(self) -> str:
        return unusual_origin(self.files())

    def pictures(self, seed: int) -> dict[str, Pictures]:
        self.files()
        return {
            split: self._split(seed, number, size, pool=number)
            for number, (split, size) in enumerate(SIZES.items())
        }

    def measurement(self, seed: int) -> Pictures | None:
        self.files()
        return self._split(seed, len(SIZES), MEASUREMENT_SIZE, _MEASURED_POOL)

    def _split(self, seed: int, number: int, size: int, pool: int) -> Pictures:
        balanced = np.arange(size) % len(self.classes)
        labels = np.random.default_rng([seed, number]).permutation(balanced)

        def read(index: int) -> Image.Image:
            question = self.name.removeprefix(f"{self.family}-")
            stream = [self.version, int.from_bytes(question.encode()), seed, number, index]
            return self.draw(np.random.default_rng(stream), int(labels[index]), pool)

        return Pictures(labels, read)


@dataclass(frozen=True, kw_only=True)
class Family:
    """The common attributes of a family's drawn tasks; see BuiltinTask and DrawnTask."""

    name: str
    source: str = OWN_CODE
    licence: str = OWN_LICENCE
    version: int = 1
    files: Callable[[], Sequence[Path]] = tuple

    def task(
        self, question: str, group: str, asks: str, classes: Iterable[str], draw: Draw
    ) -> DrawnTask:
        """Create a task of this family, named `family-question`."""
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
