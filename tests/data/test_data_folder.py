"""Image folders: layouts, splits that are missing, and what is refused."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from autoplace.data import DataError, load_data
from autoplace.data import _decoding as decoding


def by_split(data, root):
    return {s.name: {os.path.relpath(p, root) for p in s.paths} for s in data.splits}


def test_a_flat_folder_is_split_60_20_20_within_each_class(flat_folder, transform):
    data = load_data(str(flat_folder), transform=transform)
    assert data.classes == ("cat", "dog")
    assert [np.bincount(s.labels).tolist() for s in data.splits] == [[6, 6], [2, 2], [2, 2]]
    assert (data.name, data.group) == ("pets", "user")


@pytest.mark.parametrize("val", ["val", "validation", "valid", "Val"])
def test_split_folders_are_taken_as_they_are(write_images, transform, val):
    paths = {f"{s}/{c}/{i}.png" for s in ("train", val, "test") for c in "ab" for i in range(3)}
    root = write_images(paths)
    splits = by_split(load_data(root, transform=transform), root)
    assert splits["val"] == {p for p in paths if p.startswith(f"{val}/")}
    assert splits["test"] == {p for p in paths if p.startswith("test/")}


@pytest.mark.parametrize("present", [("train",), ("train", "val"), ("train", "test")])
def test_missing_splits_are_carved_from_train(write_images, transform, present):
    root = write_images(f"{s}/{c}/{i}.png" for s in present for c in "ab" for i in range(10))
    data = load_data(root, transform=transform)
    for split in data.splits:
        folder = split.name if split.name in present else "train"
        assert all(f"/{folder}/" in path for path in split.paths)
        carved, given = [2, 2], [10, 10]
        if split.name == "train":
            given = [6, 6] if len(present) == 1 else [8, 8]
        expected = given if split.name in present else carved
        assert np.bincount(split.labels).tolist() == expected
    assert any("taken from train" in note for note in data.notes)


def test_the_split_does_not_depend_on_the_order_of_the_listing(write_images, transform):
    paths = [f"{c}/{i}.png" for c in "abc" for i in range(9)]
    forward, backward = write_images(paths, "one"), write_images(reversed(paths), "two")
    first, second = (load_data(root, transform=transform) for root in (forward, backward))
    assert by_split(first, forward) == by_split(second, backward)
    assert first.fingerprint == second.fingerprint


def test_another_seed_gives_another_split(flat_folder, transform):
    splits = [load_data(flat_folder, transform=transform, seed=s) for s in (0, 1)]
    assert by_split(splits[0], flat_folder) != by_split(splits[1], flat_folder)
    assert splits[0].fingerprint != splits[1].fingerprint


def test_only_one_image_of_each_class_is_decoded_before_it_is_asked_for(flat_folder, transform):
    whole = {"cat": "7.png", "dog": "5.png"}
    for path in flat_folder.rglob("*.png"):
        if path.name != whole[path.parent.name]:
            path.write_bytes(b"no image at all")
    seeds = range(20)  # that whole image must be in train
    found = [_load_or_none(flat_folder, transform, seed) for seed in seeds]
    data = next(each for each in found if each is not None)
    assert len(data.train) == 12
    assert data.bad_images() == []


def _load_or_none(folder, transform, seed):
    try:
        return load_data(folder, transform=transform, seed=seed)
    except DataError:
        return None


def test_the_fingerprint_sees_a_changed_size_but_not_a_moved_folder(flat_folder, transform):
    before = load_data(flat_folder, transform=transform).fingerprint
    moved = shutil.move(flat_folder, flat_folder.parent / "elsewhere")
    assert load_data(moved, transform=transform).fingerprint == before
    with open(os.path.join(moved, "cat", "0.png"), "ab") as file:
        file.write(b"\0")
    assert load_data(moved, transform=transform).fingerprint != before


def test_hidden_files_are_passed_over_and_others_are_noted(flat_folder, transform):
    (flat_folder / "cat" / ".DS_Store").write_bytes(b"x")
    (flat_folder / "cat" / "labels.txt").write_text("x")
    (flat_folder / "README").write_text("x")
    (flat_folder / ".cache").mkdir()
    data = load_data(flat_folder, transform=transform)
    assert data.classes == ("cat", "dog")
    assert sum(len(split) for split in data.splits) == 20
    assert any("cat/labels.txt" in note for note in data.notes)
    assert any("README" in note for note in data.notes)
    assert not any("DS_Store" in note for note in data.notes)


def test_images_deep_in_a_class_folder_belong_to_it_and_loops_end(flat_folder, transform):
    (flat_folder / "cat" / "day" / "one").mkdir(parents=True)
    shutil.move(flat_folder / "cat" / "0.png", flat_folder / "cat" / "day" / "one" / "0.png")
    (flat_folder / "cat" / "loop").symlink_to(flat_folder, target_is_directory=True)
    data = load_data(flat_folder, transform=transform)
    assert sum(np.bincount(split.labels)[0] for split in data.splits) == 10


def test_every_known_suffix_is_an_image(tmp_path, write_images, transform):
    formats = Image.registered_extensions()
    # Pillow reads some formats that it cannot write; which ones depends on its version.
    written = [suffix for suffix in decoding.SUFFIXES if formats[suffix] in Image.SAVE]
    assert len(written) > 10
    write_images(f"{c}/{i}{s.upper()}" for c in "ab" for i, s in enumerate(written))
    data = load_data(tmp_path / "pets", transform=transform, max_bad=0)
    loaded = sum(len(split.load(range(len(split)))) for split in data.splits)
    assert loaded == 2 * len(written)


def test_missing_folder(tmp_path, transform):
    with pytest.raises(DataError, match="no such folder or manifest"):
        load_data(tmp_path / "nowhere", transform=transform)


def test_empty_folder(tmp_path, transform):
    with pytest.raises(DataError, match=r"no class folders in .* put the images of each class"):
        load_data(tmp_path, transform=transform)


def test_split_folders_without_images(tmp_path, transform):
    (tmp_path / "train" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match="no images in"):
        load_data(tmp_path, transform=transform)


def test_one_class_only(write_images, transform):
    root = write_images(f"cat/{i}.png" for i in range(8))
    with pytest.raises(DataError, match="only one class, 'cat'; at least two"):
        load_data(root, transform=transform)


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_fewer_than_four_images_in_a_class(write_images, transform, prefix):
    counts = {"cat": 8, "dog": 3, "emu": 2}
    root = write_images(f"{prefix}{c}/{i}.png" for c, n in counts.items() for i in range(n))
    with pytest.raises(DataError, match=r"class 'dog' .* has 3 images, but at least 4 .*1 more"):
        load_data(root, transform=transform)


def test_an_empty_class_folder_is_named(flat_folder, transform):
    (flat_folder / "emu").mkdir()
    data = load_data(flat_folder, transform=transform)
    assert data.classes == ("cat", "dog")
    assert any(note.startswith("folders without images") and "emu" in note for note in data.notes)


def test_four_images_a_class_suffice(write_images, transform):
    root = write_images(f"{c}/{i}.png" for c in "ab" for i in range(4))
    data = load_data(root, transform=transform)
    assert [len(split) for split in data.splits] == [4, 2, 2]


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_that_train_lacks(write_images, transform, split):
    paths = [f"{s}/{c}/{i}.png" for s in ("train", "val", "test") for c in "ab" for i in range(4)]
    root = write_images([*paths, *(f"{split}/emu/{i}.png" for i in range(4))])
    with pytest.raises(DataError, match=f"class 'emu' is in {split} but not in train"):
        load_data(root, transform=transform)


def test_a_class_that_only_test_lacks_is_noted(write_images, transform):
    paths = [f"{s}/{c}/{i}.png" for s in ("train", "val", "test") for c in "abc" for i in range(4)]
    root = write_images(path for path in paths if not path.startswith("test/c"))
    notes = load_data(root, transform=transform).notes
    assert notes == ["classes without an image in test: c"]


def test_two_validation_folders(write_images, transform):
    root = write_images(f"{s}/a/0.png" for s in ("train", "val", "valid"))
    with pytest.raises(DataError, match="both val/ and valid/"):
        load_data(root, transform=transform)


def test_split_folders_without_train(write_images, transform):
    root = write_images(f"{s}/a/0.png" for s in ("val", "test"))
    with pytest.raises(DataError, match="no train/"):
        load_data(root, transform=transform)


def test_a_file_that_is_no_manifest(tmp_path, transform):
    (tmp_path / "data.pkl").write_bytes(b"x")
    with pytest.raises(DataError, match=r"neither a folder nor a manifest.*\.csv, .*\.parquet"):
        load_data(tmp_path / "data.pkl", transform=transform)


@pytest.mark.parametrize(("option", "value"), [("max_bad", 1.5), ("seed", -1)])
def test_options_out_of_range(flat_folder, transform, option, value):
    with pytest.raises(DataError, match="must be"):
        load_data(flat_folder, transform=transform, **{option: value})
