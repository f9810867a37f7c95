"""Pictures as people have them: many depths, formats and sizes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoplace.agent import load
from autoplace.backbones import create_chain
from autoplace.data import (
    DataError,
    PictureReading,
    UnreadableImageError,
    create_transform,
    load_data,
    read_image,
)
from autoplace.model import AdaptedModel, save_adapted
from autoplace.placement import Placement
from tests.field._media_files import (
    eight_bits,
    grey,
    huge_png,
    jpeg,
    png16,
    run,
    tiff16,
    write_pictures,
)

TRANSFORM = create_transform({"input_size": [3, 32, 32]})


def load_all(root, **options):
    return load_data(root, transform=TRANSFORM, **options)


def every_picture(data):
    for split in data.splits:
        for index, path in enumerate(split.paths):
            yield Path(path), np.asarray(split.raw(index))


# name: suffix, writer, channels, what is done to the 8-bit values
DEEP = {
    "8 bits in 16": ("png", grey(np.uint16), 1, lambda v: v),
    "10 bits in 16": ("png", grey(np.uint16), 1, lambda v: v * 4),
    "12 bits in 16": ("png", grey(np.uint16), 1, lambda v: v * 16),
    "16 bits": ("png", grey(np.uint16), 1, lambda v: v * 257),
    "12 bits in a TIFF": ("tif", grey(np.uint16), 1, lambda v: v * 16),
    "a thermal camera's offset": ("tiff", grey(np.uint16), 1, lambda v: 27_000 + 8 * v),
    "signed 32-bit integers": ("tif", grey(np.int32), 1, lambda v: 100_000 * v - 1_000_000),
    "floats from 0 to 1": ("tif", grey(np.float32), 1, lambda v: v / 255),
    "floats below 0": ("tif", grey(np.float32), 1, lambda v: v / 100 - 3),
    "12 bits, colour PNG": ("png", png16, 3, lambda v: v * 16),
    "16 bits, colour PNG": ("png", png16, 3, lambda v: v * 257),
    "12 bits, colour TIFF": ("tif", tiff16, 3, lambda v: v * 16),
    "10 bits, colour TIFF, the other byte order": (
        "tif", lambda p, v: tiff16(p, v, ">"), 3, lambda v: v * 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DEEP)
def test_deep_pictures_are_read_as_their_8_bit_versions(case, tmp_path):
    suffix, write, channels, change = DEEP[case]
    root = tmp_path / ("colour" if channels == 3 else "grey")
    data = load_all(
        write_pictures(root, suffix, write, channels=channels, change=change), max_bad=0
    )
    for path, found in every_picture(data):
        assert (found == eight_bits(path)).all(), path
    assert "is scaled to 0 to 255" in data.notes[-1]


def test_values_are_rounded_to_the_nearest(tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / "x.png")
    found = np.asarray(read_image(str(tmp_path / "x.png"), PictureReading(integers=(0, 1000))))
    assert (found[..., 0] == np.rint(values * 0.255).clip(0, 255)).all()


def test_the_range_is_that_of_the_data_set_not_of_a_picture(tmp_path):
    root = write_pictures(tmp_path / "grey", "png", grey(np.uint16), change=lambda v: v * 16)
    half = root / "dark" / "0.png"
    Image.fromarray((np.asarray(Image.open(half)) // 2).astype(np.uint16)).save(half)
    (found,) = [found for path, found in every_picture(load_all(root)) if path == half]
    assert 126 <= found.max() <= 129


def test_test_images_have_no_say_in_the_range(tmp_path):
    for split, factor in (("train", 4), ("val", 4), ("test", 257)):
        write_pictures(
            tmp_path / "set" / split, "png", grey(np.uint16), change=lambda v, k=factor: v * k
        )
    assert load_all(tmp_path / "set").reading.integers == (0, 1020)


def test_broken_pixels_do_not_set_the_range(tmp_path):
    def with_hot_pixel(values):
        values = values * 16
        values[5, 5] = 65535
        return values

    root = write_pictures(tmp_path / "grey", "png", grey(np.uint16), count=4)
    large = np.random.default_rng(0).integers(0, 4081, (300, 300, 1))
    for path in root.rglob("*.png"):
        grey(np.uint16)(path, with_hot_pixel(large // 16))
    assert load_all(root).reading.integers[1] <= 4080


def test_ordinary_pictures_keep_fingerprint_and_notes(tmp_path):
    root = write_pictures(tmp_path / "grey", "png", grey(np.uint8))
    data = load_all(root)
    assert data.reading == PictureReading()
    assert not any("scaled" in note for note in data.notes)
    deep = write_pictures(tmp_path / "deep", "png", grey(np.uint16))
    before = load_all(deep)
    changed = [load_all(root, max_pixels=2000).fingerprint, before.fingerprint]
    assert len({data.fingerprint, *changed}) == 3


def test_an_8_bit_data_set_does_not_guess_the_range_of_deep_pictures(tmp_path):
    grey(np.uint16)(tmp_path / "dark.png", np.full((4, 4, 1), 900))
    grey(np.uint16)(tmp_path / "full.png", np.full((4, 4, 1), 65535))
    with pytest.raises(UnreadableImageError, match=r"unknown range.*save it with 8 bits"):
        read_image(str(tmp_path / "dark.png"), PictureReading())
    assert read_image(str(tmp_path / "full.png"), PictureReading()).getpixel((0, 0))[0] == 255


def test_missing_values_are_black(tmp_path):
    values = np.array([[np.nan, np.inf, -np.inf, 0.5]], dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "x.tif")
    found = np.asarray(read_image(str(tmp_path / "x.tif"), PictureReading(floats=(0, 1))))
    assert found[0, :, 0].tolist() == [0, 255, 0, 128]


def test_deep_colours_with_alpha_and_rotation(tmp_path):
    values = np.zeros((2, 3, 4), dtype=int)
    values[..., :] = (4080, 0, 0, 65535)
    values[0, 0, 3] = 0
    png16(tmp_path / "x.png", values)
    found = np.asarray(read_image(str(tmp_path / "x.png"), PictureReading(integers=(0, 4080))))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[1, 2].tolist() == [255, 0, 0]
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = np.array([[0, 100, 200]], dtype=np.uint16)
    Image.fromarray(turned).save(tmp_path / "turned.png", exif=exif)
    found = read_image(str(tmp_path / "turned.png"), PictureReading(integers=(0, 200)))
    assert np.asarray(found)[:, 0, 0].tolist() == [0, 128, 255]


def test_a_dry_run_says_how_deep_pictures_are_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root = write_pictures(tmp_path / "grey", "png", grey(np.uint16), change=lambda v: v * 16)
    code, _, err = run(capsys, "pick", root, "--backbone", "fashion-vit8", "--dry-run")
    assert code == 0, err
    assert "16-bit pixels; the range that they use, 0 to 4,080" in err


def winner(folder, reading):
    model = AdaptedModel(create_chain("fashion-vit8"), Placement(), ("dark", "light"))
    return save_adapted(model, folder, "# test\n", pictures=reading and reading.to_dict())


def test_predict_reads_pictures_as_they_were_read_in_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    grey(np.uint16)(tmp_path / "x.png", np.arange(1024).reshape(32, 32, 1))
    saved = winner(tmp_path / "winner", PictureReading(integers=(0, 1023), max_pixels=2000))
    reading = load(saved).read_image
    assert reading(str(tmp_path / "x.png")).getextrema()[0] == (0, 255)
    huge_png(tmp_path / "large.png", 60, 60)
    code, _, err = run(capsys, "predict", saved, tmp_path / "large.png")
    assert code != 0
    assert "60x60 pixels, and at most 2,000 are read" in err


def test_a_winner_of_an_earlier_version_reads_pictures_as_it_did(tmp_path):
    saved = winner(tmp_path / "winner", None)
    assert load(saved).read_image is read_image


@pytest.mark.parametrize("value", [{}, {"max_pixels": "many"}, [1]])
def test_a_damaged_winner_is_refused(tmp_path, value):
    saved = winner(tmp_path / "winner", PictureReading())
    (saved / "preprocessing.json").write_text(json.dumps({"pictures": value}))
    with pytest.raises(Exception, match="does not say how images are read") as error:
        load(saved)
    assert type(error.value).__name__ == "UserError"


@pytest.mark.parametrize("suffix", ["jpg", "jp2"])
def test_large_pictures_are_decoded_at_a_reduced_size_where_the_format_allows(suffix, tmp_path):
    jpeg(tmp_path / f"x.{suffix}", 1001, 500)
    image = read_image(str(tmp_path / f"x.{suffix}"), PictureReading(max_pixels=40_000))
    assert image.size == (251, 125)
    red, green, blue = np.asarray(image)[60, 30]
    assert (red, green, blue) > (200, -1, -1)
    assert max(green, blue) < 60


def test_a_jpeg_beyond_pillow_s_own_limit_is_read(tmp_path):
    jpeg(tmp_path / "x.jpg", 20_000, 10_000)
    image = read_image(str(tmp_path / "x.jpg"))
    assert image.size == (10_000, 5_000)


def test_max_pixels_allows_what_pillow_would_refuse(tmp_path):
    huge_png(tmp_path / "x.png", 10_000, 9_500)
    with pytest.raises(UnreadableImageError, match=r"at most 89,478,485.*--max-pixels"):
        read_image(str(tmp_path / "x.png"))
    image = read_image(str(tmp_path / "x.png"), PictureReading(max_pixels=100_000_000))
    assert image.size == (10_000, 9_500)


def test_too_large_pictures_count_as_unreadable_and_name_the_option(tmp_path):
    root = write_pictures(tmp_path / "grey", "png", grey(np.uint8))
    with pytest.raises(DataError, match=r"32x32 pixels, and at most 1,000 are read(.|\n)*raise"):
        load_all(root, max_pixels=1000)


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "tga", "pcx", "dib", "qoi", "avif", "ppm"])
def test_other_formats_of_pillow_are_read(suffix, tmp_path):
    Image.new("RGB", (8, 8), (200, 30, 30)).save(tmp_path / f"x.{suffix}")
    assert read_image(str(tmp_path / f"x.{suffix}")).getpixel((4, 4))[0] > 180


def test_a_kind_that_pillow_cannot_read_is_named(tmp_path):
    values = np.zeros((4, 4, 3), dtype=np.uint16)
    tiff16(tmp_path / "x.tif", values)
    broken = bytearray((tmp_path / "x.tif").read_bytes())
    broken[-6:] = struct_of_depths(32)
    (tmp_path / "x.tif").write_bytes(bytes(broken))
    with pytest.raises(UnreadableImageError, match="TIFF file is damaged or of a kind"):
        read_image(str(tmp_path / "x.tif"))


def struct_of_depths(bits: int) -> bytes:
    return bits.to_bytes(2, "little") * 3
