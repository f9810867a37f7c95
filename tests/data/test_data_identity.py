"""What tells data sets apart, and what recognises the same images elsewhere."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from autoplace.data import load_data
from autoplace.data._contents import N_DIGESTS, SAMPLE_SIZE, content_digests
from autoplace.data._listing import ImageFile
from autoplace.data._task_data import default_family


def write_bitmaps(root, seed, count=10, folders=("cat", "dog")):
    """Random BMPs of one size; names and sizes are the same for every seed."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        folder = root / folders[number % len(folders)]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04d}.bmp")
    return root


def write_manifest(folder, name="list.csv"):
    images = sorted(folder.rglob("*.bmp"))
    rows = [f"{path.relative_to(folder).as_posix()},{path.parent.name}" for path in images]
    (folder / name).write_text("\n".join(["path,label", *rows]))
    return folder / name


def as_folder(folder):
    return folder


@pytest.mark.parametrize("form", [as_folder, write_manifest])
def test_equal_names_and_sizes_with_other_pixels_are_other_data(tmp_path, transform, form):
    roots = [write_bitmaps(tmp_path / str(k) / "pets", seed) for k, seed in enumerate((0, 1, 0))]
    sizes = [sorted((p.name, p.stat().st_size) for p in root.rglob("*.bmp")) for root in roots]
    assert sizes[0] == sizes[1]
    first, other, again = (load_data(form(r), transform=transform).fingerprint for r in roots)
    assert first == again != other


def test_one_changed_image_changes_the_fingerprint_of_a_small_data_set(tmp_path, transform):
    root = write_bitmaps(tmp_path / "pets", 0)
    before = load_data(root, transform=transform).fingerprint
    Image.new("RGB", (4, 4), "red").save(root / "dog" / "0009.bmp")
    assert load_data(root, transform=transform).fingerprint != before


def list_files(root):
    return [
        ImageFile(p.relative_to(root).as_posix(), str(p), p.stat().st_size, p.parent.name)
        for p in root.rglob("*.bmp")
    ]


def test_copies_of_a_large_data_set_have_the_same_files_read_whatever_their_folders(tmp_path):
    count = SAMPLE_SIZE + 90
    first = write_bitmaps(tmp_path / "pets", 0, count)
    copy = write_bitmaps(tmp_path / "other" / "deep", 0, count, folders=("x", "y", "z/z"))
    read = [content_digests(list_files(root)) for root in (first, copy)]
    names = [{key.rpartition("/")[2]: digest for key, digest in found.items()} for found in read]
    assert names[0] == names[1]
    assert len(names[0]) == SAMPLE_SIZE


def test_files_that_cannot_be_read_are_skipped(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "full.png").write_bytes(b"pixels")
    sizes = {"gone.png": -1, "vanished.png": 6, "empty.png": 0, "folder.png": 6, "full.png": 6}
    files = [ImageFile(name, str(tmp_path / name), size, "a") for name, size in sizes.items()]
    assert list(content_digests(files)) == ["full.png"]


def test_the_fingerprint_does_not_depend_on_a_copy_s_place(tmp_path, transform):
    root = write_bitmaps(tmp_path / "pets", 0)
    copy = shutil.copytree(root, tmp_path / "elsewhere" / "animals")
    first, second = (load_data(each, transform=transform) for each in (root, copy))
    assert first.fingerprint == second.fingerprint


def load_family(source, transform, **options):
    data = load_data(source, transform=transform, **options)
    return data.family, set(data.image_digests)


def test_folders_of_one_name_with_other_images_are_two_families(tmp_path, transform):
    roots = [write_bitmaps(tmp_path / parent / "images", k) for k, parent in enumerate("ab")]
    (one, digests), (two, others) = (load_family(root, transform) for root in roots)
    assert one != two
    assert digests and others and not digests & others


@pytest.mark.parametrize("count", [12, SAMPLE_SIZE + 90])
def test_copies_of_the_same_images_are_one_family_whatever_they_are_called(
    tmp_path, transform, count
):
    root = write_bitmaps(tmp_path / "a" / "pets", 0, count)
    other_classes = write_bitmaps(tmp_path / "b" / "beasts", 0, count, folders=("x", "y", "z"))
    found = [load_family(root, transform), load_family(other_classes, transform)]
    assert found[0] == found[1]
    assert load_family(write_manifest(root), transform) == found[0]


def test_copies_under_other_file_names_are_one_family(tmp_path, transform):
    root = write_bitmaps(tmp_path / "pets", 0)
    copy = shutil.copytree(root, tmp_path / "renamed")
    for path in sorted(copy.rglob("*.bmp")):
        path.rename(path.with_name(f"image-{path.name}"))
    assert load_family(root, transform) == load_family(copy, transform)


def test_data_that_hold_part_of_the_images_of_others_share_digests(tmp_path, transform):
    whole = write_bitmaps(tmp_path / "whole", 0, 2 * SAMPLE_SIZE)
    half = tmp_path / "half"
    for number, path in enumerate(sorted(whole.rglob("*.bmp"))):
        if number % 4 < 2:
            (half / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, half / path.parent.name)
    shared = load_family(whole, transform)[1] & load_family(half, transform)[1]
    assert len(shared) > 10


def test_digests_are_few_short_and_kept_in_order(tmp_path, transform):
    root = write_bitmaps(tmp_path / "pets", 0, 200)
    digests = load_data(root, transform=transform).image_digests
    assert len(digests) == N_DIGESTS == 64
    assert list(digests) == sorted(set(digests))
    assert all(len(digest) == 16 for digest in digests)


def test_a_given_family_is_taken_and_said_to_be_given(tmp_path, transform):
    root = write_bitmaps(tmp_path / "pets", 0)
    given = load_data(root, transform=transform, family="animals")
    default = load_data(root, transform=transform)
    assert (given.family, given.family_source) == ("animals", "given")
    assert default.family_source == "default"
    assert default.family == f"images-{default.image_digests[0][:8]}"
    assert default.image_digests == given.image_digests


def test_data_without_contents_are_a_family_of_their_own():
    assert default_family((), "0123456789") != default_family((), "9876543210")
