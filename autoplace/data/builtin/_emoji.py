"""Colour emoji: their Unicode group, and which way they are turned."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from autoplace.data.builtin._glyphs import SIDE
from autoplace.data.builtin._installed import installed
from autoplace.data.builtin._pools import pool
from autoplace.data.builtin._task import Family

_PACKAGES = "Debian's packages fonts-noto-color-emoji and unicode-data"
_STRIKE = 109  # the only size of the font's bitmaps, in pixels
_GROUPS = {
    "Smileys & Emotion": "smileys", "People & Body": "people", "Animals & Nature": "nature",
    "Food & Drink": "food", "Travel & Places": "travel", "Activities": "activities",
    "Objects": "objects", "Symbols": "symbols", "Flags": "flags",
}  # fmt: skip
_NAMES = list(_GROUPS.values())
_TURNS = ("upright", "left", "upside down", "right")


def _files() -> tuple[Path, Path]:
    """Return the font, and Unicode's list of emoji by group."""
    return (
        installed("fonts/truetype/noto/NotoColorEmoji.ttf", _PACKAGES),
        installed("unicode/emoji/emoji-test.txt", _PACKAGES),
    )


@cache
def _by_group(path: Path) -> dict[str, list[str]]:
    """List the emoji of one code point (two for flags) by group, without skin tones."""
    found: dict[str, list[str]] = {name: [] for name in _NAMES}
    group = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ")
        elif "; fully-qualified" in line and group in _GROUPS:
            codes = [int(code, 16) for code in line.split(";")[0].split()]
            plain = [code for code in codes if code != 0xFE0F]
            if len(plain) == (2 if group == "Flags" else 1):
                found[_GROUPS[group]].append("".join(map(chr, plain)))
    return found


@lru_cache(maxsize=3000)
def _picture(path: Path, text: str) -> Image.Image:
    """Draw an emoji as RGBA, cropped to its ink."""
    font = ImageFont.truetype(str(path), _STRIKE)
    frame = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(frame).text((8, 8), text, font=font, embedded_color=True)
    return frame.crop(frame.getbbox())


def _draw(rng: np.random.Generator, names: list[str], split: int, turn: float) -> Image.Image:
    """Draw one emoji of some groups on a ground of two colours, turned by `turn` degrees."""
    font, emoji_list = _files()
    texts = pool(_by_group(emoji_list)[names[int(rng.integers(len(names)))]], split)
    emoji = _picture(font, texts[int(rng.integers(len(texts)))])
    emoji = emoji.rotate(turn + rng.uniform(-8, 8), Image.Resampling.BICUBIC, expand=True)
    longest = rng.uniform(0.45, 0.95) * SIDE
    emoji.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    ends, along = rng.uniform(0, 255, (2, 3)), np.linspace(0, 1, SIDE)[:, None, None]
    ground = np.broadcast_to(ends[0] * along + ends[1] * (1 - along), (SIDE, SIDE, 3))
    picture = Image.fromarray(ground.astype(np.uint8))
    corner = [int(rng.integers(0, SIDE - side + 1)) for side in emoji.size]
    picture.paste(emoji, (corner[0], corner[1]), emoji)
    return picture


def _group(rng: np.random.Generator, label: int, split: int) -> Image.Image:
    return _draw(rng, [_NAMES[label]], split, 0.0)


def _turned(rng: np.random.Generator, label: int, split: int) -> Image.Image:
    """Draw smileys, people, animals and food, which have an upright position."""
    return _draw(rng, _NAMES[:4], split, 90.0 * label)


_FAMILY = Family(
    name="emoji",
    source=f"Noto Color Emoji, groups of Unicode ({_PACKAGES})",
    licence="OFL-1.1; Unicode-3.0 (groups)",
    files=_files,
)

TASKS = (
    _FAMILY.task("groups", "natural", "which Unicode group an emoji belongs to", _NAMES, _group),
    _FAMILY.task("turned", "structured", "which way an emoji is turned", list(_TURNS), _turned),
)
