"""Batches, equal images, content fingerprint."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from autoplace.data import DataError, load_data


@pytest.fixture
def data(flat_folder, transform):
    return load_data(flat_folder, transform=transform, max_bad=0.2)


def test_a_batch_has_images_labels_and_indices_in_the_order_asked(data):
    batch = data.train.load([5, 0, 7])
    assert batch.images.shape == (3, 3, 32, 32)
    assert batch.images.dtype == torch.float32
    assert batch.indices.tolist() == [5, 0, 7]
    assert batch.labels.tolist() == data.train.labels[[5, 0, 7]].tolist()
    assert batch.labels.dtype == torch.int64


def test_batches_give_what_load_gives(data):
    whole = data.train.load(range(12))
    parts = list(data.train.batches(5))
    assert [len(part) for part in parts] == [5, 5, 2]
    assert torch.cat([part.images for part in parts]).equal(whole.images)
    assert torch.cat([part.indices for part in parts]).equal(whole.indices)


def test_batches_of_chosen_indices(data):
    parts = list(data.train.batches(2, np.array([3, 1, 2])))
    assert [part.indices.tolist() for part in parts] == [[3, 1], [2]]


def test_batches_can_be_left_early(data):
    assert len(next(iter(data.train.batches(4)))) == 4


def test_images_are_resized_and_normalised_as_the_backbone_wants(data):
    Image.new("RGB", (50, 90), (255, 0, 51)).save(data.train.paths[0])
    image = data.train.load([0]).images[0]
    assert image.shape == (3, 32, 32)
    assert image[:, 16, 16].tolist() == pytest.approx([1.0, -1.0, -0.6])


def test_a_bad_image_leaves_the_rest_of_its_batch(data):
    with open(data.train.paths[1], "wb"):
        pass
    assert data.train.load([0, 1, 2]).indices.tolist() == [0, 2]
    assert [batch.indices.tolist() for batch in data.train.batches(1, [0, 1, 2])] == [[0], [2]]


def test_nothing_readable_is_an_error(data):
    with open(data.train.paths[1], "wb"):
        pass
    with pytest.raises(DataError, match="none of the 1 images"):
        data.train.load([1])
    with pytest.raises(DataError, match="cannot read"):
        data.train.raw(1)


def test_equal_pixels_in_two_splits_are_reported_whatever_the_file(data):
    original = Image.open(data.train.paths[0])
    original.save(data.test.paths[0], format="TIFF")  # other bytes, the same pixels
    shutil.copy(data.train.paths[2], data.train.paths[3])  # within a split: no leak
    assert data.duplicates() == []
    for split in data.splits:
        split.load(range(len(split)))
    (found,) = data.duplicates()
    assert set(zip(found.paths, found.splits, strict=True)) == {
        (data.train.paths[0], "train"),
        (data.test.paths[0], "test"),
    }


def test_the_content_fingerprint_grows_as_images_are_decoded(flat_folder, transform):
    first, second = (load_data(flat_folder, transform=transform) for _ in range(2))
    start = first.content_fingerprint()
    first.train.load([0, 1])
    assert first.content_fingerprint() != start
    second.train.load([1])
    second.train.load([0])
    assert second.content_fingerprint() == first.content_fingerprint()


def test_the_content_fingerprint_sees_pixels_that_sizes_do_not_show(flat_folder, transform):
    path = flat_folder / "cat" / "0.bmp"
    prints = []
    for colour in ("red", "blue"):
        Image.new("RGB", (4, 4), colour).save(path)
        data = load_data(flat_folder, transform=transform)
        for split in data.splits:
            split.load(range(len(split)))
        prints.append(data.content_fingerprint())
    assert prints[0] != prints[1]


def test_the_profile_counts_bad_images(data):
    with open(data.val.paths[0], "wb"):
        pass
    data.val.load(range(4))
    assert data.profile() == {
        "n_classes": 2,
        "n_images": {"train": 12, "val": 4, "test": 4},
        "class_counts": {
            "train": {"cat": 6, "dog": 6},
            "val": {"cat": 2, "dog": 2},
            "test": {"cat": 2, "dog": 2},
        },
        "n_bad_images": 1,
    }
