"""Pictures of every mode come out right; damaged ones are skipped and listed."""

from __future__ import annotations

import struct
import zipfile
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from autoplace.data import DataError, UnreadableImageError, load_data, read_image


def colours(path):
    image = read_image(str(path))
    assert image.mode == "RGB"
    return np.asarray(image)


def test_transparency_is_laid_over_white(tmp_path):
    image = Image.new("RGBA", (4, 4), (200, 0, 0, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    image.save(tmp_path / "x.png")
    pixels = colours(tmp_path / "x.png")
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[1, 1].tolist() == [200, 0, 0]


def test_grey_pictures_get_three_equal_channels(tmp_path):
    Image.new("L", (4, 4), 77).save(tmp_path / "x.png")
    assert (colours(tmp_path / "x.png") == 77).all()


def test_grey_with_alpha(tmp_path):
    Image.new("LA", (4, 4), (10, 0)).save(tmp_path / "x.png")
    assert (colours(tmp_path / "x.png") == 255).all()


def test_black_and_white_pictures(tmp_path):
    Image.new("1", (4, 4), 1).save(tmp_path / "x.png")
    assert (colours(tmp_path / "x.png") == 255).all()


def test_palettes_are_looked_up(tmp_path):
    image = Image.new("RGB", (4, 4), (10, 200, 30))
    image.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "x.png")
    assert colours(tmp_path / "x.png")[2, 2].tolist() == [10, 200, 30]


def test_a_transparent_palette_entry_is_white(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 1), 1)
    image.save(tmp_path / "x.png", transparency=0)
    pixels = colours(tmp_path / "x.png")
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[1, 1].tolist() == [40, 50, 60]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, suffix):
    values = np.array([[0, 257, 25700, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"x.{suffix}")
    assert colours(tmp_path / f"x.{suffix}")[0, :, 0].tolist() == [0, 1, 100, 255]


def test_sixteen_bits_are_rounded_to_the_nearest(tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / "x.png")
    assert (colours(tmp_path / "x.png")[..., 0] == np.round(values * (255 / 65535))).all()


def test_cmyk_is_converted(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "x.jpg", quality=95)
    red, green, blue = colours(tmp_path / "x.jpg")[4, 4]
    assert red > 200
    assert green < 60
    assert blue < 60


def test_a_camera_s_rotation_is_undone(tmp_path):
    image = Image.new("RGB", (8, 4), "black")
    image.paste((255, 255, 255), (0, 0, 4, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    image.save(tmp_path / "x.png", exif=exif)
    pixels = colours(tmp_path / "x.png")
    assert pixels.shape == (8, 4, 3)
    assert (pixels[:4] == 255).all()
    assert (pixels[4:] == 0).all()


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert colours(tmp_path / "x.gif")[0, 0].tolist() == [255, 0, 0]


def test_float_pixels_are_refused(tmp_path):
    Image.new("F", (4, 4), 0.5).save(tmp_path / "x.tif")
    with pytest.raises(UnreadableImageError, match="float pixels of unknown range"):
        read_image(str(tmp_path / "x.tif"))


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that claims side x side pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def text_bomb() -> bytes:
    """A small picture with a text of 300 MB, packed into 300 KB."""
    body = b"Comment\0\0" + zlib.compress(b"\0" * 300_000_000, 1)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + body))
    small = BytesIO()
    Image.new("RGB", (4, 4)).save(small, "PNG")
    whole = small.getvalue()
    return whole[:33] + chunk + whole[33:]


def archive() -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("../../cat.png", b"no picture")
    return packed.getvalue()


def truncated_jpeg(tmp_path) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    return (tmp_path / "whole.jpg").read_bytes()[:900]


DAMAGED = {
    "zero bytes": lambda _: b"",
    "text": lambda _: b"this is a text file",
    "truncated": truncated_jpeg,
    "bomb": lambda _: bomb(50_000),
    "text bomb": lambda _: text_bomb(),
    "archive": lambda _: archive(),
    "postscript": lambda _: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_image_is_skipped_and_listed_with_its_reason(
    tmp_path, flat_folder, transform, damage
):
    path = flat_folder / "cat" / "3.png"
    path.write_bytes(DAMAGED[damage](tmp_path))
    data = load_data(flat_folder, transform=transform, max_bad=0.05)
    loaded = [split.load(range(len(split))) for split in data.splits]
    assert sum(len(batch) for batch in loaded) == 19
    (bad,) = data.bad_images()
    assert bad.path == str(path)
    assert bad.reason
    assert "\n" not in bad.reason


def test_an_image_between_pillow_s_warning_and_its_error_is_refused(tmp_path):
    (tmp_path / "x.png").write_bytes(bomb(10_000))
    with pytest.raises(UnreadableImageError, match="10000x10000 pixels, and at most 89,478,485"):
        read_image(str(tmp_path / "x.png"))


def test_too_many_damaged_images_are_fatal(flat_folder, transform):
    for i in range(3):
        (flat_folder / "cat" / f"{i}.png").write_bytes(b"")
    data = load_data(flat_folder, transform=transform, max_bad=0.1)
    with pytest.raises(DataError, match=r"3 of 20 images cannot be read(.|\n)*--max-bad"):
        for split in data.splits:
            split.load(range(len(split)))


def test_a_single_damaged_image_is_fatal_when_none_is_allowed(flat_folder, transform):
    (flat_folder / "cat" / "0.png").write_bytes(b"")
    data = load_data(flat_folder, transform=transform, max_bad=0)
    with pytest.raises(DataError, match="1 of 20"):
        for split in data.splits:
            list(split.batches(4))
