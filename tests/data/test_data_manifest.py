"""CSV and Parquet manifests, and what is refused in them."""

from __future__ import annotations

import os
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest

from autoplace.data import DataError, load_data

SUFFIXES = (".csv", ".parquet")


@pytest.fixture
def write_manifest(write_images):
    """Write images a0..a9, b0..b9 and a manifest of them, changed by the given function."""

    def write(change=lambda table: table, suffix=".csv", name="list"):
        paths = [f"img/{c}{i}.png" for c in "ab" for i in range(10)]
        folder = write_images(paths)
        table = change(pd.DataFrame({"path": paths, "label": ["cat"] * 10 + ["dog"] * 10}))
        file = folder / (name + suffix)
        if suffix == ".csv":
            table.to_csv(file, index=False)
        else:
            table.to_parquet(file, index=False)
        return file

    return write


def names(split):
    return {os.path.basename(path) for path in split.paths}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_manifest_of_paths_and_labels_is_split_stratified(write_manifest, transform, suffix):
    data = load_data(write_manifest(suffix=suffix), transform=transform)
    assert data.classes == ("cat", "dog")
    assert [np.bincount(s.labels).tolist() for s in data.splits] == [[6, 6], [2, 2], [2, 2]]
    assert (data.name, data.group) == ("pets-list", "user")
    assert len(data.train.load(range(12))) == 12


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_split_column_is_followed(write_manifest, transform, suffix):
    splits = (["train"] * 6 + ["valid"] * 2 + ["Test"] * 2) * 2
    file = write_manifest(lambda t: t.assign(split=splits), suffix)
    data = load_data(file, transform=transform)
    assert names(data.val) == {"a6.png", "a7.png", "b6.png", "b7.png"}
    assert names(data.test) == {"a8.png", "a9.png", "b8.png", "b9.png"}
    assert data.notes == []


def test_csv_and_parquet_of_the_same_rows_are_the_same_data(write_manifest, transform):
    csv, parquet = (load_data(write_manifest(suffix=s), transform=transform) for s in SUFFIXES)
    assert csv.fingerprint == parquet.fingerprint


def test_the_order_of_the_rows_does_not_matter(write_manifest, transform):
    first = load_data(write_manifest(), transform=transform)
    second = load_data(
        write_manifest(lambda t: t.sample(frac=1, random_state=0)), transform=transform
    )
    assert first.fingerprint == second.fingerprint
    assert first.train.paths == second.train.paths


@pytest.mark.parametrize("label", ["NA", "007", "null", "True"])
def test_labels_are_text_as_written(write_manifest, transform, label):
    file = write_manifest(lambda t: t.replace("cat", label))
    assert label in load_data(file, transform=transform).classes


def test_whole_numbers_are_labels_in_parquet(write_manifest, transform):
    file = write_manifest(lambda t: t.assign(label=[3] * 10 + [5] * 10), ".parquet")
    assert load_data(file, transform=transform).classes == ("3", "5")


def test_groups_stay_together_when_splits_are_carved(write_manifest, transform):
    groups = [f"g{i // 2}" for i in range(20)]
    data = load_data(write_manifest(lambda t: t.assign(group=groups)), transform=transform)
    group_of = {f"{c}{i}.png": f"{c}{i // 2}" for c in "ab" for i in range(10)}
    found = [{group_of[name] for name in names(split)} for split in data.splits]
    assert not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])
    assert all(set(split.labels.tolist()) == {0, 1} for split in data.splits)


def test_fit_is_train_then_val_with_the_groups_of_its_images(write_manifest, transform):
    groups = [f"g{i // 2}" for i in range(20)]
    data = load_data(write_manifest(lambda t: t.assign(group=groups)), transform=transform)
    assert data.fit.paths == data.train.paths + data.val.paths
    assert data.fit.labels.tolist() == [*data.train.labels, *data.val.labels]
    files = [os.path.basename(path) for path in data.fit.paths]
    pairs = [(file[0], int(file[1]) // 2) for file in files]  # of two images each
    assert data.groups is not None
    assert len(set(zip(pairs, data.groups.tolist(), strict=True))) == len(set(pairs))
    assert len(set(data.groups.tolist())) == len(set(pairs))
    assert data.made_val


def test_images_of_fit_are_recorded_as_images_of_train_and_val(write_manifest, transform):
    data = load_data(write_manifest(), transform=transform)
    shutil.copy(data.train.paths[0], data.val.paths[1])
    data.fit.load(range(len(data.fit)))
    (found,) = data.duplicates()
    assert sorted(found.splits) == ["train", "val"]
    assert data.groups is None


def test_a_val_of_the_users_own_is_not_made(write_manifest, transform):
    given = ["train"] * 7 + ["val"] * 3
    data = load_data(write_manifest(lambda t: t.assign(split=given * 2)), transform=transform)
    assert not data.made_val


def test_a_group_in_two_splits(write_manifest, transform):
    file = write_manifest(
        lambda t: t.assign(split=["train"] * 9 + ["test"] + ["train"] * 10, group=["g"] * 20)
    )
    with pytest.raises(DataError, match=r"group 'g' .* is in test and train"):
        load_data(file, transform=transform)


def test_too_few_groups(write_manifest, transform):
    file = write_manifest(lambda t: t.assign(group=["g", "h"] * 10))
    with pytest.raises(DataError, match="2 groups are too few to take val and test from train"):
        load_data(file, transform=transform)


def test_another_column_is_ignored_and_named(write_manifest, transform):
    data = load_data(write_manifest(lambda t: t.assign(splt="train")), transform=transform)
    assert "columns of the table ignored: splt" in data.notes


@pytest.mark.parametrize(("column", "other"), [("path", "where"), ("label", "what")])
def test_a_column_that_cannot_be_found_can_be_named(write_manifest, transform, column, other):
    file = write_manifest(lambda t: t.rename(columns={column: other}))
    with pytest.raises(DataError, match=f"--{column}-column (.|\n)*{other}"):
        load_data(file, transform=transform)
    data = load_data(file, transform=transform, **{f"{column}_column": other})
    assert data.classes == ("cat", "dog")


def test_an_unknown_split_name(write_manifest, transform):
    file = write_manifest(lambda t: t.assign(split=["train"] * 19 + ["later"]))
    with pytest.raises(DataError, match=r"row 20 .*: 'later' in column 'split' is not the name"):
        load_data(file, transform=transform)
    data = load_data(file, transform=transform, split_column="none")
    assert [len(split) for split in data.splits] == [12, 4, 4]


def test_no_image_in_train(write_manifest, transform):
    file = write_manifest(lambda t: t.assign(split="test"))
    with pytest.raises(DataError, match="has no training images; put some images in train"):
        load_data(file, transform=transform)


@pytest.mark.parametrize("value", ["../secret.png", "img/../../secret.png", "/etc/hostname", "."])
def test_a_path_that_leaves_the_folder(write_manifest, transform, value):
    file = write_manifest(lambda t: t.replace("img/a3.png", value))
    (file.parent.parent / "secret.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"row 4 .* is outside the manifest's folder"):
        load_data(file, transform=transform)


@pytest.mark.parametrize("link_to_folder", [False, True])
def test_a_link_in_the_folder_may_lead_elsewhere(write_manifest, transform, link_to_folder):
    value = "out/blob.png" if link_to_folder else "out.png"
    file = write_manifest(lambda t: t.replace("img/a3.png", value))
    blob = file.parent.parent / "blob.png"
    shutil.move(file.parent / "img" / "a3.png", blob)
    link = file.parent / value.split("/")[0]
    link.symlink_to(blob.parent if link_to_folder else blob)
    data = load_data(file, transform=transform, max_bad=0.0)
    assert sum(len(split.load(range(len(split)))) for split in data.splits) == 20


def test_an_absolute_path_within_the_folder_is_fine(write_manifest, transform):
    file = write_manifest()
    relative = load_data(file, transform=transform)
    write_manifest(lambda t: t.assign(path=[file.parent / p for p in t.path]))
    assert load_data(file, transform=transform).fingerprint == relative.fingerprint


@pytest.mark.parametrize("value", ["nul\0.png", "x" * 5000])
def test_a_path_that_no_file_can_have(write_manifest, transform, value):
    file = write_manifest(lambda t: t.replace("img/a3.png", value), ".parquet")
    with pytest.raises(DataError):
        load_data(file, transform=transform, max_bad=0.0)


def test_the_same_file_twice(write_manifest, transform):
    file = write_manifest(lambda t: t.replace("img/a3.png", "./img/a2.png"))
    with pytest.raises(DataError, match=r"lists 'img/a2.png' twice, in rows 3 and 4"):
        load_data(file, transform=transform)


def test_files_that_do_not_exist(write_manifest, transform):
    file = write_manifest(lambda t: t.replace("img/a3.png", "img/gone.png"))
    with pytest.raises(
        DataError, match=r"1 of 20 images in .* do not exist, the first: .*gone\.png"
    ):
        load_data(file, transform=transform, max_bad=0.0)
    data = load_data(file, transform=transform, max_bad=0.1)
    for split in data.splits:
        split.load(range(len(split)))
    assert [bad.reason for bad in data.bad_images()] == ["no such file"]


@pytest.mark.parametrize("column", ["path", "label", "split", "group"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_cell(write_manifest, transform, column, suffix):
    def change(table):
        table = table.assign(split="train", group=[f"g{i}" for i in range(20)])
        table.loc[4, column] = None
        return table

    with pytest.raises(DataError, match=f"row 5 .* has no {column}"):
        load_data(write_manifest(change, suffix), transform=transform)


def test_a_label_that_is_no_text(write_manifest, transform):
    file = write_manifest(lambda t: t.assign(label=0.5), ".parquet")
    with pytest.raises(DataError, match="label is of type float"):
        load_data(file, transform=transform)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01" * 40, b"PAR1 but not really PAR1"])
def test_an_unreadable_manifest(tmp_path, transform, suffix, content):
    file = tmp_path / f"list{suffix}"
    file.write_bytes(content)
    with pytest.raises(DataError):
        load_data(file, transform=transform)


def test_a_row_with_too_many_cells(write_manifest, transform):
    file = write_manifest()
    file.write_text(file.read_text() + "img/x.png,cat,train\n")
    with pytest.raises(DataError, match=r"line 22 .* has 3 cells, but the header has 2"):
        load_data(file, transform=transform)


def test_a_header_without_rows(write_manifest, transform):
    with pytest.raises(DataError, match="has no rows"):
        load_data(write_manifest(lambda t: t[:0]), transform=transform)


def test_a_pickle_under_another_name_is_never_opened_as_one(tmp_path, transform):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    for suffix in SUFFIXES:
        file = tmp_path / f"list{suffix}"
        file.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(DataError):
            load_data(file, transform=transform)
    assert not (tmp_path / "exploded").exists()


def test_every_message_is_at_most_two_lines(write_manifest, transform):
    for change in (
        lambda t: t.assign(image="x"),
        lambda t: t.replace("img/a3.png", "../x.png"),
        lambda t: t.replace("img/a3.png", "gone.png"),
        lambda t: t.drop(columns="label"),
    ):
        with pytest.raises(DataError) as caught:
            load_data(write_manifest(change), transform=transform, max_bad=0.0)
        assert len(str(caught.value).splitlines()) <= 2
