"""The built-in data sets."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from autoplace.data import DataError, list_builtin, list_tasks, load_data
from autoplace.data.builtin._canvas import OUTLINES, SIDE, Canvas, rotated
from autoplace.data.builtin._pools import pool
from autoplace.data.builtin._registry import by_name

SHAPES = [name for name in list_builtin() if "shapes" in name]
GROUPS = ("natural", "specialised", "structured")
CUT = Path(__file__).parents[1] / "pictures"  # a few pictures, see its README.md

# What the tasks' trials in the shipped log are known by: the first digits for seed 0.
FINGERPRINTS = {
    "digits": "5fc7c0bb3141c93d",
    "icons-topics": "f9596d83d799d350",
    "shapes-count": "beb3edb4305e10ef",
    "shapes-location": "aab999782d6a189c",
    "shapes-orientation": "8edb23550cf4f587",
    "shapes-size": "c170b228ac0fc08f",
    "textures-scales": "c56cadf94a5846bf",
    "charts-kinds": "60a08824d87bca31",
    "charts-trends": "68bdb09f85b88763",
    "spheres-light": "062bbd433f6bee74",
    "spheres-depth": "8af85b459466bf1b",
    "paths-number": "a0aa8adb6d36a0af",
    "cells-states": "d78a483b642145f0",
    "cells-density": "581045a241d4f007",
    "fashion-same": "b4376abed7737644",
    "fashion-odd": "e47e89316e994865",
    "fonts-letters": "898b62f84aecc971",
    "fonts-styles": "8c934b2abadd96ba",
    "emoji-groups": "d61db296047ff66e",
    "emoji-turned": "9d8a719be63964ef",
}


@pytest.fixture
def cut_pictures(monkeypatch):
    monkeypatch.setenv("AUTOPLACE_PICTURES", str(CUT))


@pytest.fixture(params=list_builtin(), ids=lambda name: name.removeprefix("builtin:"))
def source(request, cut_pictures):
    """Every task in turn, as DATA, made from the pictures that the tests bring."""
    return request.param


def load_installed(source, transform):
    """A task made from what packages install. Skips the test where they are not installed."""
    try:
        return load_data(source, transform=transform)
    except DataError as error:
        pytest.skip(str(error))


def test_the_suite_is_as_large_and_as_varied_as_documented():
    tasks = list_tasks()
    assert len(tasks) >= 18
    assert len({task.name for task in tasks}) == len(tasks)
    assert len({task.family for task in tasks}) >= 8
    assert {task.group for task in tasks} == set(GROUPS)
    for task in tasks:
        assert task.name in (task.family, f"{task.family}-{task.name.partition('-')[2]}")
        assert task.source and task.licence and task.asks
        assert len(set(task.classes)) == len(task.classes) >= 2


def test_tasks_are_found_by_name_and_by_family():
    assert [task.name for task in list_tasks("shapes-c*")] == ["shapes-count"]
    assert {task.family for task in list_tasks("fonts")} == {"fonts"}
    assert list_tasks("no-such-*") == []


def test_two_tasks_cannot_have_one_name():
    (task,) = list_tasks("digits")
    with pytest.raises(ValueError, match="two built-in tasks are named 'digits'"):
        by_name([*list_tasks(), task])


def test_sizes_are_those_of_the_protocol(source, transform):
    data = load_data(source, transform=transform)
    expected = (800, 200, 797) if source == "builtin:digits" else (800, 200, 2000)
    assert tuple(len(split) for split in data.splits) == expected
    assert data.name == source.removeprefix("builtin:")


def test_classes_are_equally_frequent_in_every_split(source, transform):
    for split in load_data(source, transform=transform, seed=3).splits:
        counts = np.bincount(split.labels)
        assert counts.max() - counts.min() <= max(1, 0.03 * len(split))


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(source, transform):
    first, again, other = (
        load_data(source, transform=transform, seed=seed).train for seed in (0, 0, 1)
    )
    indices = range(5)
    assert np.array_equal(first.labels, again.labels)
    assert first.load(indices).images.equal(again.load(indices).images)
    assert not first.load(indices).images.equal(other.load(indices).images)


def test_the_fingerprint_depends_on_the_seed_alone(source, transform):
    prints = [load_data(source, transform=transform, seed=s).fingerprint for s in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_pictures_of_different_splits_differ(source, transform):
    data = load_data(source, transform=transform, measure=True)
    for split in (*data.splits, data.measurement):
        if split is not None:
            split.load(range(20))
    assert data.duplicates() == []
    assert data.bad_images() == []


def test_the_measurement_split_changes_nothing_else(source, transform):
    plain, more = (load_data(source, transform=transform, measure=ask) for ask in (False, True))
    assert plain.measurement is None
    assert (more.measurement is None) == (source == "builtin:digits")  # all of them are in use
    assert plain.fingerprint == more.fingerprint
    for one, other in zip(plain.splits, more.splits, strict=True):
        assert np.array_equal(one.labels, other.labels)
        assert one.load([0, 7]).images.equal(other.load([0, 7]).images)
    if more.measurement is not None:
        counts = np.bincount(more.measurement.labels, minlength=len(more.classes))
        assert counts.sum() == 2000 and counts.max() - counts.min() <= 1


def test_pictures_are_full_rgb_of_every_class(source, transform):
    data = load_data(source, transform=transform)
    for label in range(len(data.classes)):
        index = int(np.flatnonzero(data.test.labels == label)[0])
        picture = data.test.raw(index)
        assert picture.mode == "RGB" and min(picture.size) >= 8
        assert np.asarray(picture).std() > 5


def test_a_task_whose_pictures_are_not_installed_says_what_to_install(
    transform, monkeypatch, tmp_path
):
    monkeypatch.setenv("AUTOPLACE_PICTURES", str(tmp_path))
    with pytest.raises(
        DataError, match=r"install Debian's package dataset-fashion-mnist"
    ) as caught:
        load_data("builtin:fashion-odd", transform=transform)
    assert len(str(caught.value).splitlines()) == 2


NOTO = "fonts/truetype/noto/Noto"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("fashion-odd", "datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz"),
        ("fonts-letters", f"{NOTO}Serif-Bold.ttf"),
        ("emoji-groups", f"{NOTO}ColorEmoji.ttf"),
    ],
)
def test_tasks_of_other_pictures_are_not_mistaken_for_the_usual_ones(
    transform, monkeypatch, tmp_path, name, file
):
    found = []
    for folder in ("one", "copy", "changed"):
        shutil.copytree(CUT, tmp_path / folder)
        if folder == "changed":
            with open(tmp_path / folder / file, "ab") as changed:
                changed.write(b"\0")
        monkeypatch.setenv("AUTOPLACE_PICTURES", str(tmp_path / folder))
        found.append(load_data(f"builtin:{name}", transform=transform))
    one, copy, other = (data.fingerprint for data in found)
    assert one == copy != other
    assert not one.startswith(FINGERPRINTS[name]) and not other.startswith(FINGERPRINTS[name])
    assert [len(data.notes) for data in found] == [1, 1, 1]
    assert "cannot be compared" in found[0].notes[0]


@pytest.mark.parametrize("family", sorted({task.family for task in list_tasks()}))
def test_tasks_of_installed_pictures_are_those_of_the_shipped_log(transform, monkeypatch, family):
    monkeypatch.delenv("AUTOPLACE_PICTURES", raising=False)
    for task in list_tasks(family):
        data = load_installed(f"builtin:{task.name}", transform)
        assert data.fingerprint.startswith(FINGERPRINTS[task.name])
        assert data.notes == []
        for split in data.splits:
            split.load(range(60))
        assert data.duplicates() == []


@pytest.mark.parametrize("n_items", [3, 4, 16, 100])
def test_pools_of_the_splits_share_nothing_and_leave_nothing_out(n_items):
    parts = [pool(range(n_items), split) for split in range(3)]
    assert all(parts)
    assert sorted(item for part in parts for item in part) == list(range(n_items))


@pytest.mark.parametrize("shapes", SHAPES)
def test_single_pixels_do_not_give_the_class_away(shapes, transform):
    data = load_data(shapes, transform=transform)
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


def test_a_builtin_family_is_fixed_unless_another_is_given(transform):
    for given, family, source in ((None, "digits", "builtin"), ("mnist", "mnist", "given")):
        data = load_data("builtin:digits", transform=transform, family=given)
        assert (data.family, data.family_source, data.image_digests) == (family, source, ())


def test_the_profile_counts_every_image(transform):
    profile = load_data("builtin:shapes-size", transform=transform).profile()
    assert profile["n_images"] == {"train": 800, "val": 200, "test": 2000}
    assert profile["class_counts"]["test"] == dict.fromkeys(
        ("tiny", "small", "medium", "large", "huge"), 400
    )
