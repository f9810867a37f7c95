"""The built-in data sets."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from autoplace.data import DataError, list_builtin, load_data
from autoplace.data._canvas import OUTLINES, SIDE, Canvas, rotated

SHAPES = [name for name in list_builtin() if "shapes" in name]
N_CLASSES = {
    "builtin:digits": 10,
    "builtin:shapes-count": 6,
    "builtin:shapes-location": 9,
    "builtin:shapes-orientation": 8,
    "builtin:shapes-size": 5,
}


@pytest.mark.parametrize("source", list_builtin())
def test_sizes_and_classes_are_as_documented(source, transform):
    data = load_data(source, transform=transform)
    assert len(data.classes) == N_CLASSES[source]
    expected = (800, 200, 797) if source == "builtin:digits" else (800, 200, 1000)
    assert tuple(len(split) for split in data.splits) == expected
    assert data.name == source.removeprefix("builtin:")
    assert data.family == ("digits" if source == "builtin:digits" else "shapes")
    assert data.group == ("natural" if source == "builtin:digits" else "structured")


@pytest.mark.parametrize("source", list_builtin())
def test_classes_are_equally_frequent_in_every_split(source, transform):
    for split in load_data(source, transform=transform, seed=3).splits:
        counts = np.bincount(split.labels)
        assert counts.max() - counts.min() <= max(1, 0.03 * len(split))


@pytest.mark.parametrize("source", list_builtin())
def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(source, transform):
    first, again, other = (
        load_data(source, transform=transform, seed=seed).train for seed in (0, 0, 1)
    )
    indices = range(5)
    assert np.array_equal(first.labels, again.labels)
    assert first.load(indices).images.equal(again.load(indices).images)
    assert not first.load(indices).images.equal(other.load(indices).images)


@pytest.mark.parametrize("source", list_builtin())
def test_the_fingerprint_depends_on_the_seed_alone(source, transform):
    prints = [load_data(source, transform=transform, seed=s).fingerprint for s in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_fingerprints_of_different_sets_differ(transform):
    prints = {load_data(source, transform=transform).fingerprint for source in list_builtin()}
    assert len(prints) == len(list_builtin())


@pytest.mark.parametrize("source", SHAPES)
def test_scenes_of_different_splits_differ(source, transform):
    data = load_data(source, transform=transform)
    for split in data.splits:
        split.load(range(20))
    assert data.duplicates() == []
    assert data.bad_images() == []


@pytest.mark.parametrize("source", SHAPES)
def test_scenes_are_full_rgb_pictures(source, transform):
    picture = load_data(source, transform=transform).test.raw(0)
    assert (picture.mode, picture.size) == ("RGB", (SIDE, SIDE))
    assert np.asarray(picture).std() > 5


@pytest.mark.parametrize("source", SHAPES)
def test_single_pixels_do_not_give_the_class_away(source, transform):
    data = load_data(source, transform=transform)
    train, held_out = data.train.load(range(250)), data.val.load(range(150))
    model = LogisticRegression(C=1e-3, max_iter=50).fit(train.images.flatten(1), train.labels)
    assert model.score(held_out.images.flatten(1), held_out.labels) < 2 / len(data.classes) + 0.05


def test_angles_turn_an_arrow_counter_clockwise_from_east():
    tips = [rotated(OUTLINES["arrow"], quarter * np.pi / 2)[0] for quarter in range(4)]
    east, north, west, south = (1, 0), (0, -1), (-1, 0), (0, 1)  # y grows downwards
    assert np.allclose(tips, [east, north, west, south])


@pytest.mark.parametrize("outline", OUTLINES)
def test_outlines_reach_as_far_as_their_radius(outline):
    assert np.linalg.norm(OUTLINES[outline], axis=1).max() == pytest.approx(1, abs=0.03)


def test_objects_do_not_touch():
    canvas, found = Canvas(np.random.default_rng(0)), []
    while (centre := canvas.find_place(6.0)) is not None:
        canvas.paint("disc", centre, 6.0, 0.0)
        found.append(centre)
    assert len(found) >= 6
    for i, centre in enumerate(found):
        assert all(np.hypot(*np.subtract(centre, other)) >= 12 for other in found[:i])
        assert all(6 <= coordinate <= SIDE - 6 for coordinate in centre)


def test_an_unknown_name_is_answered_with_the_nearest(transform):
    with pytest.raises(DataError, match=r"did you mean 'builtin:shapes-count'"):
        load_data("builtin:shapes-cuont", transform=transform)


def test_a_builtin_name_without_its_prefix_is_recognised(transform):
    with pytest.raises(DataError, match=r"did you mean 'builtin:digits'"):
        load_data("digits", transform=transform)


def test_the_family_can_be_given(transform):
    assert load_data("builtin:digits", transform=transform, family="mnist").family == "mnist"


def test_the_profile_counts_every_image(transform):
    profile = load_data("builtin:shapes-size", transform=transform).profile()
    assert profile["n_images"] == {"train": 800, "val": 200, "test": 1000}
    assert profile["class_counts"]["test"] == dict.fromkeys(
        ("tiny", "small", "medium", "large", "huge"), 200
    )
