"""Icons of Font Awesome: their topic."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from autoplace.data._errors import DataError
from autoplace.data.builtin._glyphs import glyph, set_on_paper
from autoplace.data.builtin._pools import pool
from autoplace.data.builtin._task import Family

_PACKAGE = "the PyPI package fontawesomefree (extra 'tasks')"
# Categories of Font Awesome's metadata that overlap little.
_TOPICS = (
    "arrows", "buildings", "clothing-fashion", "devices-hardware", "food-beverage", "hands",
    "medical-health", "money", "sports-fitness", "transportation", "users-people", "weather",
)  # fmt: skip


def _folder() -> Path:
    found = find_spec("fontawesomefree")
    if found is None or found.origin is None:
        raise DataError(
            f"this task needs {_PACKAGE}; install it with 'pip install fontawesomefree'"
        )
    return Path(found.origin).parent / "static" / "fontawesomefree"


def _files() -> tuple[Path, ...]:
    names = ("metadata/icons.json", "metadata/categories.yml", "webfonts/fa-solid-900.ttf")
    return tuple(_folder() / name for name in names)


@cache
def _icons() -> dict[str, str]:
    """Map names of the solid icons to their characters."""
    metadata = json.loads((_folder() / "metadata" / "icons.json").read_text("utf-8"))
    return {
        name: chr(int(icon["unicode"], 16))
        for name, icon in metadata.items()
        if "solid" in icon["free"]
    }


@cache
def _about(topic: str) -> list[str]:
    """List the characters of the solid icons that belong to one topic only."""
    text = (_folder() / "metadata" / "categories.yml").read_text("utf-8")
    names = {key: set(value["icons"]) for key, value in yaml.safe_load(text).items()}
    others = set().union(*(names[other] for other in _TOPICS if other != topic))
    solid = _icons()
    return [solid[name] for name in sorted(names[topic] - others) if name in solid]


def _topic(rng: np.random.Generator, label: int, split: int) -> Image.Image:
    """Draw an icon of a topic.

    No test icon is used in training, and there are few icons, so adapters overfit.
    """
    characters = pool(_about(_TOPICS[label]), split)
    path = _folder() / "webfonts" / "fa-solid-900.ttf"
    mask = glyph(path, characters[int(rng.integers(len(characters)))])
    assert mask is not None, "an icon has ink"
    return set_on_paper(rng, mask, 0.45, 0.95, 8)


_FAMILY = Family(
    name="icons",
    source=f"Font Awesome Free ({_PACKAGE})",
    licence="CC BY 4.0 (icons), OFL-1.1 (fonts)",
    files=_files,
)

TASKS = (_FAMILY.task("topics", "specialised", "the topic of an icon", _TOPICS, _topic),)
