"""Generated charts: their kind, and the trend they show."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from autoplace.data.builtin._task import Family

SIDE = 64
_SCALE = 3  # charts are drawn this many times larger, then reduced
_KINDS = ("bars", "columns", "line", "area", "scatter", "pie", "ring", "stacked", "steps", "boxes")
_TRENDS = ("rising", "falling", "peak", "valley", "level")

Colour = tuple[int, int, int]


class _Chart:
    """A plot area, with or without axes; values are in 0..1."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        dark = rng.random() < 0.4
        self.paper = self._colour(0, 70) if dark else self._colour(185, 255)
        self.ink = self._colour(150, 255) if dark else self._colour(0, 130)
        self.second = self._colour(90, 200)
        side = SIDE * _SCALE
        self.image = Image.new("RGB", (side, side), self.paper)
        self.pen = ImageDraw.Draw(self.image)
        self.left, self.top = (int(v) for v in rng.integers(4 * _SCALE, 14 * _SCALE, 2))
        self.right, self.bottom = (int(side - v) for v in rng.integers(4 * _SCALE, 14 * _SCALE, 2))
        self.width = int(rng.integers(1, 3)) * _SCALE

    def _colour(self, low: int, high: int) -> Colour:
        red, green, blue = (int(v) for v in self.rng.integers(low, high, 3))
        return red, green, blue

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel coordinates of a point; y grows upwards."""
        return (
            self.left + x * (self.right - self.left),
            self.bottom - y * (self.bottom - self.top),
        )

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour | None) -> None:
        (left, bottom), (right, top) = self.at(x0, y0), self.at(x1, y1)
        self.pen.rectangle((left, top, right, bottom), fill=fill, outline=self.ink)

    def axes(self) -> None:
        if self.rng.random() < 0.7:
            self.pen.line([self.at(0, 1), self.at(0, 0), self.at(1, 0)], self.second, _SCALE)

    def finish(self) -> Image.Image:
        pixels = np.asarray(self.image.reduce(_SCALE), float)
        pixels = pixels + self.rng.normal(0, self.rng.uniform(0, 10), pixels.shape)
        return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _plot(chart: _Chart, kind: str, values: np.ndarray) -> None:
    """Draw values (n,) in 0..1 as a chart of a kind."""
    n, rng = len(values), chart.rng
    x = (np.arange(n) + 0.5) / n
    points = [chart.at(*p) for p in zip(x.tolist(), values.tolist(), strict=True)]
    half = 0.5 / n * rng.uniform(0.5, 0.95)
    if kind in ("pie", "ring"):
        shares = np.cumsum(values + 0.15) / (values + 0.15).sum() * 360
        corners = (chart.left, chart.top, chart.right, chart.bottom)
        for start, end in zip([0.0, *shares[:-1]], shares, strict=True):
            chart.pen.pieslice(corners, float(start), float(end), chart._colour(0, 255), chart.ink)
        if kind == "ring":
            chart.pen.ellipse((*chart.at(0.28, 0.72), *chart.at(0.72, 0.28)), chart.paper)
        return
    chart.axes()
    if kind == "line":
        chart.pen.line(points, chart.ink, chart.width, joint="curve")
    elif kind == "area":
        ends = [chart.at(x[-1], 0), chart.at(x[0], 0)]
        chart.pen.polygon([*points, *ends], chart.second, chart.ink)
    elif kind == "steps":
        corners_ = [(p[0], q) for p, q in zip(points[1:], [p[1] for p in points], strict=False)]
        both = [points[0], *(c for pair in zip(corners_, points[1:], strict=True) for c in pair)]
        chart.pen.line(both, chart.ink, chart.width)
    elif kind == "scatter":
        for column, row in points:
            r = chart.width * 1.3
            chart.pen.ellipse((column - r, row - r, column + r, row + r), chart.ink)
    for centre, value in zip(x, values, strict=True):
        if kind == "columns":
            chart.box(centre - half, 0, centre + half, max(value, 0.02), chart.second)
        elif kind == "bars":
            chart.box(0, centre - half, max(value, 0.02), centre + half, chart.second)
        elif kind == "stacked":
            cut = value * rng.uniform(0.3, 0.7)
            chart.box(centre - half, 0, centre + half, cut, chart.second)
            chart.box(centre - half, cut, centre + half, max(value, 0.04), chart.ink)
        elif kind == "boxes":
            low, high = value * 0.6, value * 0.6 + 0.15
            chart.pen.line([chart.at(centre, low - 0.1), chart.at(centre, high + 0.15)], chart.ink)
            chart.box(centre - half, low, centre + half, high, chart.second)


def _kind(rng: np.random.Generator, label: int, _: int) -> Image.Image:
    chart = _Chart(rng)
    _plot(chart, _KINDS[label], rng.uniform(0.1, 1, int(rng.integers(4, 10))))
    return chart.finish()


def _trend(rng: np.random.Generator, label: int, _: int) -> Image.Image:
    """Draw a noisy trend as a line, columns, an area, steps or points."""
    t = np.linspace(-1, 1, int(rng.integers(7, 14)))
    shape = (t, -t, 1 - 2 * np.abs(t), 2 * np.abs(t) - 1, 0 * t)[label]
    values = 0.5 + 0.32 * rng.uniform(0.55, 1.0) * shape + rng.normal(0, 0.09, len(t))
    kind = str(rng.choice(["line", "columns", "area", "steps", "scatter"]))
    chart = _Chart(rng)
    _plot(chart, kind, values.clip(0.02, 0.98))
    return chart.finish()


_FAMILY = Family(name="charts")

TASKS = (
    _FAMILY.task("kinds", "specialised", "which kind a chart is", _KINDS, _kind),
    _FAMILY.task("trends", "structured", "which trend a chart shows", _TRENDS, _trend),
)
