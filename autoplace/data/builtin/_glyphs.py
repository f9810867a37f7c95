"""Glyphs of fonts as masks, and masks on paper; for letters and icons."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 64
_SIZE = 96  # pixels at which glyphs are drawn before they are scaled


@lru_cache(maxsize=512)
def _font(path: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), _SIZE)


@lru_cache(maxsize=20_000)
def glyph(path: Path, text: str) -> Image.Image | None:
    """Draw the ink of a text as a cropped mask; None if the font draws nothing."""
    font = _font(path)
    left, top, right, bottom = font.getbbox(text)
    if right <= left or bottom <= top:
        return None
    mask = Image.new("L", (int(right - left), int(bottom - top)))
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font)
    box = mask.getbbox()
    return mask.crop(box) if box else None


def set_on_paper(
    rng: np.random.Generator, mask: Image.Image, low: float, high: float, turn: float
) -> Image.Image:
    """Put a mask in a random ink at a random place of a random paper of SIDE x SIDE pixels.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random stream of the picture.
    mask : PIL.Image.Image
        What to print, in mode L.
    low, high : float
        Range of the mask's longer side, as a fraction of the picture's side.
    turn : float
        Largest rotation in degrees.
    """
    longest = rng.uniform(low, high) * SIDE
    scale = longest / max(mask.size)
    size = [max(2, round(side * scale)) for side in mask.size]
    small = mask.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    small = small.rotate(rng.uniform(-turn, turn), Image.Resampling.BICUBIC, expand=True)
    small.thumbnail((SIDE, SIDE))
    room = np.maximum(np.subtract((SIDE, SIDE), small.size), 0)
    corner = [int(rng.integers(0, space + 1)) for space in room]
    cover = Image.new("L", (SIDE, SIDE))
    cover.paste(small, (corner[0], corner[1]))
    paper, ink = _contrasting(rng)
    alpha = np.asarray(cover, float)[..., None] / 255
    slope = np.linspace(-1, 1, SIDE)[:, None, None] * rng.uniform(-25, 25)
    pixels = (paper + slope) * (1 - alpha) + ink * alpha
    pixels += rng.normal(0, rng.uniform(0, 8), pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _contrasting(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw two colours whose brightness differs by at least a third of the scale."""
    while True:
        paper, ink = rng.uniform(0, 255, (2, 3))
        if abs(paper.mean() - ink.mean()) > 85:
            return paper, ink
