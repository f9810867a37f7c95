"""Banks of grey 32x32 objects drawn by formula, and of backgrounds, for pre-training.

Every bank is a `uint8` array rendered once with NumPy. Classes are parameter sets of a formula,
instances are perturbations of these parameters (Kataoka et al. 2020, "Pre-training without Natural
Images"). No discs, squares, triangles or digits are drawn, because the built-in tasks use them.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

SIZE = 32
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # Debian package dataset-fashion-mnist

_axis = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE * 2 - 1
GRID_X, GRID_Y = (g.ravel() for g in np.meshgrid(_axis, _axis))  # pixel centres in [-1, 1], (1024,)


def _attractors(maps: np.ndarray, points: int, rng: np.random.Generator) -> np.ndarray:
    """Draw grey images of iterated function systems, by a chaos game for all systems at once.

    maps: (systems, k, 6) rows a b c d e f of x' = ax + by + e, y' = cx + dy + f.
    Returns (systems, 32, 32) in [0, 1]; each attractor is fitted to the frame.
    """
    systems = len(maps)
    x = np.zeros((systems, points), np.float32)
    y = np.zeros_like(x)
    rows = np.arange(systems)[:, None]
    kept = []
    # Maps are chosen with probability proportional to area, so that points spread evenly.
    area = np.abs(maps[..., 0] * maps[..., 3] - maps[..., 1] * maps[..., 2]) + 0.02
    cumulative = np.cumsum(area / area.sum(1, keepdims=True), axis=1).astype(np.float32)
    for step in range(16):
        draw = rng.random((systems, points), dtype=np.float32)
        choice = (draw[..., None] > cumulative[:, None, :-1]).sum(-1)
        a, b, c, d, e, f = np.moveaxis(maps[rows, choice], -1, 0)
        x, y = a * x + b * y + e, c * x + d * y + f
        if step >= 12:
            kept.append((x, y))
    x = np.concatenate([p[0] for p in kept], axis=1)
    y = np.concatenate([p[1] for p in kept], axis=1)
    low_x, high_x = np.percentile(x, (1, 99), axis=1)[..., None]
    low_y, high_y = np.percentile(y, (1, 99), axis=1)[..., None]
    span = np.maximum(np.maximum(high_x - low_x, high_y - low_y), 1e-6)
    column = np.round((x - (low_x + high_x) / 2) / span * (SIZE - 4) + SIZE / 2).astype(np.int64)
    line = np.round((y - (low_y + high_y) / 2) / span * (SIZE - 4) + SIZE / 2).astype(np.int64)
    inside = (column >= 0) & (column < SIZE) & (line >= 0) & (line < SIZE)
    index = (rows * SIZE + line) * SIZE + column
    counts = np.bincount(index[inside], minlength=systems * SIZE * SIZE)
    density = counts.reshape(systems, SIZE, SIZE) / (x.shape[1] / 150)
    return np.clip(density, 0, 1).astype(np.float32)


def _contractions(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw random affine maps (*shape, 6) with singular values in [0.25, 0.8]."""
    one, two = rng.uniform(0, 2 * np.pi, (2, *shape))
    s, t = rng.uniform(0.25, 0.8, (2, *shape)) * np.where(rng.random((2, *shape)) < 0.3, -1, 1)
    maps = np.empty((*shape, 6), np.float32)
    maps[..., 0] = s * np.cos(one) * np.cos(two) - t * np.sin(one) * np.sin(two)
    maps[..., 1] = -s * np.cos(one) * np.sin(two) - t * np.sin(one) * np.cos(two)
    maps[..., 2] = s * np.sin(one) * np.cos(two) + t * np.cos(one) * np.sin(two)
    maps[..., 3] = -s * np.sin(one) * np.sin(two) + t * np.cos(one) * np.cos(two)
    maps[..., 4:] = rng.uniform(-1, 1, (*shape, 2))
    return maps


def fractals(classes: int, instances: int, rng: np.random.Generator) -> np.ndarray:
    """Draw fractals of iterated function systems of 3 maps: (classes, instances, 32, 32) uint8."""
    chosen: list[np.ndarray] = []
    while len(chosen) < classes:
        candidates = _contractions((64, 3), rng)
        cover = (_attractors(candidates, 600, rng) > 0.15).mean((1, 2))
        chosen += [m for m, c in zip(candidates, cover, strict=True) if 0.18 < c < 0.55]
    bank = np.empty((classes, instances, SIZE, SIZE), np.uint8)
    for number, maps in enumerate(chosen[:classes]):
        noise = rng.normal(0, 0.06, (instances, *maps.shape)).astype(np.float32)
        bank[number] = np.round(_attractors(maps * (1 + noise) + noise * 0.3, 500, rng) * 255)
    return bank


def _radial(edge: np.ndarray, outlined: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw regions r < edge(angle), edge: (n, 1024) radius at every pixel's angle, as uint8."""
    depth = edge * (0.85 / edge.max(1, keepdims=True)) - np.hypot(GRID_X, GRID_Y)
    width = rng.uniform(0.06, 0.14, (len(edge), 1))
    filled = np.clip(depth * 16 + 0.5, 0, 1)
    line = np.clip((width - np.abs(depth)) * 16 + 0.5, 0, 1)
    grey = np.where(outlined[:, None], line, filled)
    return np.round(grey * 255).astype(np.uint8).reshape(len(edge), SIZE, SIZE)


def contours(
    classes: int, instances: int, orders: tuple[int, ...], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw radial contours, r(angle) = 1 + a sum of 2 or 3 harmonics of the given orders.

    Returns uint8 (classes, instances, 32, 32) and which are outlines, bool (classes, instances).
    There are at least two strong harmonics, so that no class is a disc or a regular polygon.
    """
    angle = np.arctan2(GRID_Y, GRID_X)
    order = np.array(orders, dtype=np.float32)
    n = len(orders)
    waves = np.concatenate([np.cos(order[:, None] * angle), np.sin(order[:, None] * angle)])
    outlined = rng.random((classes, instances)) < 0.3
    bank = np.empty((classes, instances, SIZE, SIZE), np.uint8)
    for number in range(classes):
        strength = np.zeros(n, np.float32)
        strength[rng.choice(n, size=int(rng.integers(2, 4)), replace=False)] = 1
        phase = rng.uniform(0, 2 * np.pi, n)
        strength *= rng.uniform(0.4, 1.0, n) * 0.55 / np.sqrt(strength.sum())
        parameters = np.concatenate([strength * np.cos(phase), strength * np.sin(phase)])
        varied = parameters + rng.normal(0, 0.025, (instances, 2 * n)).astype(np.float32)
        bank[number] = _radial(np.maximum(1 + varied @ waves, 0.1), outlined[number], rng)
    return bank, outlined


def polygons(
    classes: int, instances: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw irregular star-shaped polygons of 5 to 9 corners; returns the same as `contours`."""
    angle = np.arctan2(GRID_Y, GRID_X) % (2 * np.pi)
    outlined = rng.random((classes, instances)) < 0.3
    bank = np.empty((classes, instances, SIZE, SIZE), np.uint8)
    for number in range(classes):
        corners = int(rng.integers(5, 10))
        spread = 2 * np.pi / corners
        turns = (np.arange(corners) + rng.uniform(0.15, 0.85, corners)) * spread
        turns = turns + rng.normal(0, 0.05 * spread, (instances, corners))
        radii = rng.uniform(0.3, 1.0, corners) + rng.normal(0, 0.05, (instances, corners))
        radii = np.maximum(radii, 0.2)
        # The side at a pixel's angle is between corner `sector` - 1 and corner `sector`.
        sector = (angle[None, :, None] >= turns[:, None, :]).sum(-1)
        rows = np.arange(instances)[:, None]
        before, after = (sector - 1) % corners, sector % corners
        r, s = radii[rows, before], radii[rows, after]
        to_before = (angle - turns[rows, before]) % (2 * np.pi)
        to_after = (turns[rows, after] - angle) % (2 * np.pi)
        edge = r * s * np.sin(to_before + to_after)
        edge = edge / np.maximum(r * np.sin(to_before) + s * np.sin(to_after), 1e-3)
        bank[number] = _radial(np.clip(edge, 0.05, 1.2), outlined[number], rng)
    return bank, outlined


def _strokes(knots: np.ndarray) -> np.ndarray:
    """Return points along a Catmull-Rom curve through `knots` (n, k, 2): (n, (k - 1) * 12, 2)."""
    before = np.concatenate([2 * knots[:, :1] - knots[:, 1:2], knots[:, :-1]], axis=1)[:, :-1]
    start, end = knots[:, :-1], knots[:, 1:]
    after = np.concatenate([knots[:, 2:], 2 * knots[:, -1:] - knots[:, -2:-1]], axis=1)
    u = ((np.arange(12) + 0.5) / 12)[:, None].astype(np.float32)
    p, q, r, s = (v[:, :, None, :] for v in (before, start, end, after))
    curve = 0.5 * (
        2 * q + (r - p) * u + (2 * p - 5 * q + 4 * r - s) * u**2 + (3 * q - p - 3 * r + s) * u**3
    )
    return curve.reshape(len(knots), -1, 2)


def glyphs(classes: int, instances: int, rng: np.random.Generator) -> np.ndarray:
    """Draw pen strokes through 4 to 6 random knots; returns the same as `fractals`."""
    pixels = np.stack([GRID_X, GRID_Y], axis=-1)
    bank = np.empty((classes, instances, SIZE, SIZE), np.uint8)
    for number in range(classes):
        knots = rng.uniform(-0.8, 0.8, (int(rng.integers(4, 7)), 2))
        varied = knots + rng.normal(0, 0.09, (instances, *knots.shape))
        curve = _strokes(varied.astype(np.float32))
        # |p - q|^2 expanded: one matrix product instead of a (points, pixels, 2) difference.
        square = (curve**2).sum(-1)[..., None] + (pixels**2).sum(-1) - 2 * curve @ pixels.T
        distance = np.sqrt(np.maximum(square.min(1), 0))
        width = rng.uniform(0.07, 0.2, (instances, 1))
        grey = np.clip((width - distance) * 14 + 0.5, 0, 1)
        bank[number] = np.round(grey * 255).reshape(instances, SIZE, SIZE)
    return bank


def fashion(folder: Path = FASHION_MNIST) -> tuple[np.ndarray, np.ndarray]:
    """Read Fashion-MNIST's training images, (60000, 32, 32) uint8 with a frame, and labels."""
    images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return np.pad(pixels, ((0, 0), (2, 2), (2, 2))), np.frombuffer(labels, np.uint8, offset=8)


def backgrounds(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw plain, graded, cloudy, striped and grainy backgrounds: (count, 3, 32, 32) uint8."""
    base = rng.random((count, 3, 1), dtype=np.float32)
    other = rng.random((count, 3, 1), dtype=np.float32)
    direction = rng.uniform(0, 2 * np.pi, (count, 1))
    along = (np.cos(direction) * GRID_X + np.sin(direction) * GRID_Y)[:, None]
    waves = np.sin(along * rng.uniform(6, 30, (count, 1, 1)) + rng.uniform(0, 6, (count, 1, 1)))
    clouds = np.empty((count, 1, SIZE * SIZE), np.float32)
    for number in range(count):
        cells = int(rng.choice([2, 4, 8, 16]))
        noise = np.kron(rng.random((cells, cells)), np.ones((SIZE // cells, SIZE // cells)))
        blur = max(SIZE // cells // 2, 1)
        for axis in (0, 1):
            noise = sum(np.roll(noise, k, axis) for k in range(-blur, blur + 1)) / (2 * blur + 1)
        clouds[number, 0] = (noise - noise.min()).ravel() / max(float(np.ptp(noise)), 1e-6)
    kind = rng.integers(0, 5, (count, 1, 1))
    mixing = np.select(
        [kind == 0, kind == 1, kind == 2, kind == 3],
        [np.zeros_like(along), (along + 1.42) / 2.84, clouds, (waves + 1) / 2],
        rng.random((count, 1, SIZE * SIZE)),
    )
    mixing = mixing * rng.uniform(0.2, 1.0, (count, 1, 1))
    image = base + (other - base) * mixing
    image += rng.normal(0, 1, image.shape) * rng.uniform(0, 0.08, (count, 1, 1))
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8).reshape(count, 3, SIZE, SIZE)


KINDS = (
    "clothes",
    "fractal",
    "smooth contour",
    "smooth outline",
    "spiky contour",
    "spiky outline",
    "polygon",
    "polygon outline",
    "glyph",
)


def render_banks(seed: int) -> dict[str, np.ndarray]:
    """Render `objects` (n, 32, 32) with `classes` (n,) and `kinds` (n,), and `backgrounds`.

    A kind is an index of KINDS; backgrounds are (6000, 3, 32, 32).
    """
    rng = np.random.default_rng(seed)
    pictures, labels = fashion()
    objects, classes, kinds, first = [pictures], [labels.astype(np.int64)], [labels * 0], 10

    def add(bank: np.ndarray, kind: int | np.ndarray) -> None:
        nonlocal first
        objects.append(bank.reshape(-1, SIZE, SIZE))
        classes.append(np.repeat(np.arange(first, first + len(bank)), bank.shape[1]))
        kinds.append(np.broadcast_to(kind, bank.shape[:2]).ravel())
        first += len(bank)

    add(fractals(50, 300, rng), 1)
    bank, outlined = contours(30, 400, (1, 2, 3, 4), rng)
    add(bank, 2 + outlined)
    bank, outlined = contours(30, 400, (3, 5, 6, 7), rng)
    add(bank, 4 + outlined)
    bank, outlined = polygons(50, 400, rng)
    add(bank, 6 + outlined)
    add(glyphs(80, 400, rng), 8)
    return {
        "objects": np.concatenate(objects),
        "classes": np.concatenate(classes),
        "kinds": np.concatenate(kinds).astype(np.int64),
        "backgrounds": backgrounds(6000, rng),
    }
