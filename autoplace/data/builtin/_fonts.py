"""Letters of the Noto fonts: which letter, and which style."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from unicodedata import category

import numpy as np
from PIL import Image

from autoplace.data.builtin._glyphs import glyph, set_on_paper
from autoplace.data.builtin._installed import installed
from autoplace.data.builtin._pools import pool
from autoplace.data.builtin._task import Family

_PACKAGE = "Debian's package fonts-noto-core"

# Scripts with sans and serif fonts in two weights, and the first and last of a range of letters.
_SCRIPTS = {
    "Armenian": "ԱՖ", "Bengali": "কহ", "Devanagari": "कह",
    "Ethiopic": "ሀፖ", "Georgian": "აჰ", "Gujarati": "કહ", "Hebrew": "את",
    "Kannada": "ಕಹ", "Khmer": "កអ", "Lao": "ກຮ", "Malayalam": "കഹ", "Myanmar": "ကအ",
    "Sinhala": "කෆ", "Tamil": "கஹ", "Telugu": "కహ", "Thai": "กฮ",
}  # fmt: skip
_LATIN = [chr(code) for code in range(ord("A"), ord("Z") + 1)]
_STYLES = {
    "sans regular": "NotoSans{}-Regular.ttf",
    "sans bold": "NotoSans{}-Bold.ttf",
    "serif regular": "NotoSerif{}-Regular.ttf",
    "serif bold": "NotoSerif{}-Bold.ttf",
}
_ALL = ("", *_SCRIPTS)  # the names of Latin fonts do not name the script


def _font(name: str) -> Path:
    return installed(f"fonts/truetype/noto/{name}", _PACKAGE)


def _files() -> list[Path]:
    styled = [_font(style.format(script)) for script in _ALL for style in _STYLES.values()]
    return list({*_latin_fonts(), *styled})


def _letters(script: str) -> list[str]:
    return _drawn_letters(_font(f"NotoSans{script}-Regular.ttf"), *_SCRIPTS[script])


@cache
def _drawn_letters(path: Path, first: str, last: str) -> list[str]:
    """List the letters of a range that a font draws, each shape once.

    The box that a font draws for a missing letter does not count.
    """
    seen = {_shape(path, "\uffff"): ""}
    for code in range(ord(first), ord(last) + 1):
        if category(chr(code)).startswith("L"):
            seen.setdefault(_shape(path, chr(code)), chr(code))
    return [letter for shape, letter in seen.items() if shape and letter]


def _shape(path: Path, text: str) -> bytes:
    """Return what distinguishes two glyphs; empty if nothing is drawn."""
    mask = glyph(path, text)
    return b"" if mask is None else repr(mask.size).encode() + mask.tobytes()


def _latin_fonts() -> list[Path]:
    """List the Latin fonts by name, because other packages add more weights of them."""
    return [
        _font(f"{family}-{style}.ttf")
        for family in ("NotoSans", "NotoSansDisplay", "NotoSerif", "NotoSerifDisplay")
        for style in ("Bold", "BoldItalic", "Italic", "Regular")
    ]


def _choice(rng: np.random.Generator, items: list[str]) -> str:
    return items[int(rng.integers(len(items)))]


def _letter(rng: np.random.Generator, label: int, split: int) -> Image.Image:
    """Draw a capital or small Latin letter; no test font is used in training."""
    fonts = pool(_latin_fonts(), split)
    letter = _LATIN[label] if rng.random() < 0.5 else _LATIN[label].lower()
    mask = glyph(fonts[int(rng.integers(len(fonts)))], letter)
    assert mask is not None, "every Latin font draws every Latin letter"
    return set_on_paper(rng, mask, 0.3, 0.8, 20)


def _style(rng: np.random.Generator, label: int, split: int) -> Image.Image:
    """Draw a word of three letters in a style; no test script is used in training."""
    script = _choice(rng, pool(_ALL, split))
    letters = _letters(script) if script else _LATIN
    text = "".join(_choice(rng, letters) for _ in range(3))
    mask = glyph(_font(list(_STYLES.values())[label].format(script)), text)
    assert mask is not None, "both styles of a script draw its letters"
    return set_on_paper(rng, mask, 0.75, 1.0, 5)


_FAMILY = Family(name="fonts", source=f"Noto fonts ({_PACKAGE})", licence="OFL-1.1", files=_files)

TASKS = (
    _FAMILY.task("letters", "natural", "which Latin letter", _LATIN, _letter),
    _FAMILY.task(
        "styles", "specialised", "with or without serifs, bold or regular", list(_STYLES), _style
    ),
)
