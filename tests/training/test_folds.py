"""Folds of training and validation images: disjoint, exhaustive, groups kept together."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest

from autoplace.training import Images, count_folds, split_rows


@pytest.fixture(scope="module")
def grouped(make_task, image_folder, tmp_path_factory):
    """The images of the folder in twenty groups, of all classes."""
    folder = tmp_path_factory.mktemp("grouped")
    shutil.copytree(image_folder, folder / "images")
    path = folder / "images.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group"])
        for image in sorted((folder / "images").rglob("*.png")):
            writer.writerow([image.relative_to(folder), image.parent.name, f"g{image.stem}"])
    return make_task(folder=path)


@pytest.mark.parametrize("kind", ["plain", "grouped"])
def test_folds_divide_the_images_and_the_first_is_the_tasks_own_split(kind, task, grouped):
    subject = {"plain": task, "grouped": grouped}[kind]
    folds = [
        split_rows(subject, Images("fold", number)) for number in range(1, count_folds(subject) + 1)
    ]
    assert len(folds) > 2
    assert folds[0].val.tolist() == subject.rows("val").tolist()
    assert folds[0].train.tolist() == split_rows(subject, Images()).train.tolist()
    held_out = np.concatenate([fold.val for fold in folds])
    assert sorted(held_out) == subject.rows("fit").tolist()
    for fold in folds:
        assert sorted([*fold.train, *fold.val]) == subject.rows("fit").tolist()


def test_groups_stay_together_in_every_fold(grouped):
    groups = grouped.data.groups
    for number in range(1, count_folds(grouped) + 1):
        fold = split_rows(grouped, Images("fold", number))
        assert not set(groups[fold.train]) & set(groups[fold.val])


def test_a_refit_sees_all_training_and_validation_images_and_no_test_image(task):
    rows = split_rows(task, Images("all"))
    fit = task.data.fit
    assert sorted(fit.paths[row] for row in rows.train) == sorted(
        [*task.data.train.paths, *task.data.val.paths]
    )
    assert not set(fit.paths) & set(task.data.test.paths)
    assert len(rows.val) == 0


def test_few_images_are_as_many_of_each_class_and_others_in_another_draw(task):
    draws = [split_rows(task, Images("few", per_class=3, draw=draw)) for draw in (0, 0, 1)]
    first, same, other = (draw.train.tolist() for draw in draws)
    assert first == same
    assert first != other
    for rows in (first, other):
        assert np.bincount(task.labels[rows]).tolist() == [3] * len(task.data.classes)
        assert set(rows) <= set(task.rows("train"))
    assert draws[0].val.tolist() == draws[2].val.tolist() == task.rows("val").tolist()


def test_the_users_own_validation_images_are_the_only_fold(make_task, image_folder, tmp_path):
    for number, image in enumerate(sorted(image_folder.rglob("*.png"))):
        split = ("train", "val", "test")[number % 3]
        target = tmp_path / split / image.parent.name
        target.mkdir(parents=True, exist_ok=True)
        (target / image.name).write_bytes(image.read_bytes())
    given = make_task(folder=tmp_path)
    assert count_folds(given) == 1
    with pytest.raises(ValueError, match="there are 1 folds"):
        split_rows(given, Images("fold", 2))
