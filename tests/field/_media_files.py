"""Pictures and checkpoints as people of the field have them on disk; small and seeded."""

from __future__ import annotations

import argparse
import struct
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from autoplace.cli import main

SIDE = 32
CLASSES = ("dark", "light")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command line; returns exit code, stdout, and stderr as one line."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, " ".join(said.err.split())


def pixels(label: str, number: int, channels: int) -> np.ndarray:
    """8-bit noise (side, side, channels), with values from 0 to 255."""
    rng = np.random.default_rng([CLASSES.index(label), number, channels])
    values = rng.integers(0, 256, (SIDE, SIDE, channels))
    values[0, 0], values[0, 1] = 0, 255
    return values


def png16(path: Path, values: np.ndarray) -> None:
    """Write a PNG of 16 bits per value, grey or in colour; Pillow writes only grey ones."""
    height, width, channels = values.shape
    colour_type = {1: 0, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def tiff16(path: Path, values: np.ndarray, order: str = "<") -> None:
    """Write an uncompressed colour TIFF of 16 bits in either byte order."""
    height, width, channels = values.shape
    body = values.astype(f"{order}u2").tobytes()
    start = 8 + len(body)

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        short = kind == 3 and count == 1
        return struct.pack(
            f"{order}HHI{'HH' if short else 'I'}", tag, kind, count, value, *[0] * short
        )

    entries = [
        entry(256, 3, 1, width), entry(257, 3, 1, height), entry(258, 3, 3, start + 2 + 9 * 12 + 4),
        entry(259, 3, 1, 1), entry(262, 3, 1, 2), entry(273, 4, 1, 8), entry(277, 3, 1, channels),
        entry(278, 3, 1, height), entry(279, 4, 1, len(body)),
    ]  # fmt: skip
    magic = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    directory = struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)
    path.write_bytes(magic + body + directory + struct.pack(f"{order}HHH", 16, 16, 16))


def grey(mode: type[np.generic]) -> Callable[[Path, np.ndarray], None]:
    """Return a writer of grey pictures of one number format."""

    def write(path: Path, values: np.ndarray) -> None:
        Image.fromarray(values[..., 0].astype(mode)).save(path)

    return write


def write_pictures(
    root: Path,
    suffix: str,
    write: Callable[[Path, np.ndarray], None],
    *,
    channels: int = 1,
    change: Callable[[np.ndarray], np.ndarray] = lambda values: values,
    count: int = 6,
) -> Path:
    """Write two classes of pictures, whose 8-bit values are changed first; returns the folder."""
    for label in CLASSES:
        (root / label).mkdir(parents=True)
        for number in range(count):
            write(root / label / f"{number}.{suffix}", change(pixels(label, number, channels)))
    return root


def eight_bits(path: Path) -> np.ndarray:
    """Return the 8-bit colours that the picture of this class and number was made from."""
    values = pixels(path.parent.name, int(path.stem), 3 if "colour" in str(path) else 1)
    return np.broadcast_to(values, (SIDE, SIDE, 3))


def jpeg(path: Path, width: int, height: int) -> None:
    """Write a large JPEG of few bytes, whose left half is red."""
    image = Image.new("RGB", (width, height), "blue")
    image.paste((255, 0, 0), (0, 0, width // 2, height))
    image.save(path)


def huge_png(path: Path, width: int, height: int) -> None:
    """Write a whole PNG of one bit per pixel: many pixels in few bytes."""
    Image.new("1", (width, height), 1).save(path)


def resized(state: dict[str, Tensor], side: int, *, prefix: int = 1) -> dict[str, Tensor]:
    """Return weights as they would be at another image size: a grid of another side."""
    position = state["pos_embed"]
    dim = position.shape[-1]
    grid = torch.linspace(-1, 1, side * side)[None, :, None].expand(1, -1, dim)
    return state | {"pos_embed": torch.cat([position[:, :prefix], grid], dim=1)}


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in state.items()}


def heads(prefix: str = "") -> dict[str, Tensor]:
    """Tensors of pre-training that a backbone does not have."""
    return prefixed(
        {
            "mask_token": torch.zeros(1, 1, 64),
            "decoder_embed.weight": torch.zeros(32, 64),
            "decoder_blocks.0.norm1.weight": torch.zeros(32),
            "decoder_pos_embed": torch.zeros(1, 5, 32),
            "dino_head.mlp.0.weight": torch.zeros(32, 64),
        },
        prefix,
    )


def random_like(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Other weights of the same shapes."""
    return {key: torch.randn_like(tensor) for key, tensor in state.items()}


def options(**more: Any) -> argparse.Namespace:
    """The options of a run as timm's trainer saves them."""
    return argparse.Namespace(model="test_vit", lr=0.1, **more)


FOLDER = PurePosixPath("out")  # an option that only unpickling could make
