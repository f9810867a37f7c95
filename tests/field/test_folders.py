"""Image folders as people have them: read as a person would, or refused with the reason."""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from autoplace.cli._main import autoplace
from autoplace.data import DataError
from tests.field._data_files import (
    broken,
    load,
    picture,
    pictures,
    splits,
    totals,
    under_bytes,
    write_tree,
)

SPLIT = {"cat": (6, 4, 5), "dog": (6, 4, 5)}
FLAT = {"cat": 10, "dog": 10}


def split_tree(train, val, test, inner=""):
    """Two classes in folders of these names; `inner` is between a split and its classes."""
    counts = {train: 6, val: 4, test: 5}
    return {f"{s}{inner.format(s)}/{c}": n for s, n in counts.items() for c in ("cat", "dog")}


# A tree, the classes with their images in train, val and test, and what the notes must say.
SPLIT_CASES = {
    "usual names": (split_tree("train", "val", "test"), ""),
    "capitals": (split_tree("Training", "VALIDATION", "Testing"), "'Training' as train"),
    "sets": (split_tree("training_set", "validation_set", "test_set"), "'test_set' as test"),
    "glued": (split_tree("TrainSet", "valset", "testData"), "'valset' as val"),
    "dev and eval": (split_tree("train", "dev", "eval"), "'dev' as val, 'eval' as test"),
    "eval beside test": (split_tree("train", "eval", "test"), "'eval' as val"),
    "holdout": (split_tree("train", "val", "hold-out"), "'hold-out' as test"),
    "numbers": (split_tree("train2017", "val2017", "test1"), "'test1' as test"),
    "words around": (split_tree("seg_train", "seg_val", "seg_test"), "'seg_train' as train"),
    "twice": (split_tree("seg_train", "seg_val", "seg_test", "/{}"), "'seg_train' as train"),
    "a folder of images between": (split_tree("train", "val", "test", "/images"), ""),
    "a wrapper": ({f"data/{k}": n for k, n in split_tree("train", "val", "test").items()},
                  "looked inside 'data'"),
    "a copy in itself": (
        split_tree("train", "val", "test")
        | {f"copy/{k}": n for k, n in split_tree("train", "val", "test").items()},
        r"not a split, ignored: copy \(30 images\)",
    ),
    "unlabelled pictures": (split_tree("train", "val", "test") | {"pred": 3},
                            r"ignored: pred \(3 images\)"),
    "documents": (split_tree("train", "val", "test") | {"docs/a.txt": "x"}, "docs"),
    "system folders": (
        split_tree("train", "val", "test")
        | {"train/cat/@eaDir": 6, "__MACOSX/train/cat": 6, "$RECYCLE.BIN/x": 2, "val/lost+found": 0,
           "train/.ipynb_checkpoints": 3, "train/cat/._0.png": b"x"},
        r"system files and folders ignored: .*\$RECYCLE.BIN.*@eaDir.*",
    ),
    "a class empty everywhere": (
        split_tree("train", "val", "test") | {f"{s}/emu": 0 for s in ("train", "val", "test")},
        "without images .* ignored: emu",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SPLIT_CASES)
def test_splits_are_recognised_and_said(case, tmp_path):
    tree, note = SPLIT_CASES[case]
    data = load(write_tree(tmp_path / "pets", tree))
    assert splits(data) == SPLIT
    assert re.search(note, "\n".join(data.notes)), data.notes
    assert len([n for n in data.notes if n.startswith("system")]) <= 1


FLAT_CASES = {
    "class folders": (FLAT, ""),
    "one wrapper": ({"dataset/cat": 10, "dataset/dog": 10}, "looked inside 'dataset'"),
    "wrappers in wrappers": ({"a/b/c/cat": 10, "a/b/c/dog": 10}, "looked inside 'a/b/c'"),
    "a wrapper beside a document": (
        {"d/cat": 10, "d/dog": 10, "README.md": "x", "__MACOSX/d": 3}, "not image files.*README",
    ),
    "classes of folders of images": ({"cat/images": 10, "dog/images": 10}, "belong to the class"),
    "thumbnails": (FLAT | {"cat/@eaDir/0.png/thumb.png": picture(1)}, "ignored: @eaDir"),
    "checkpoints of notebooks": (FLAT | {".ipynb_checkpoints": 4}, ".ipynb_checkpoints"),
    "an empty class": (FLAT | {"emu": 0}, "without images .*emu"),
    "a folder of documents": (FLAT | {"notes/a.xml": "<x/>"}, "without images .*notes"),
    "a broken link": (FLAT | {"cat/gone.txt": Path("nowhere")}, "not image files.*gone"),
    "names of other suffixes": (
        pictures("cat", 5, ".jfif", "JPEG") | pictures("cat", 5, "_.JPE", "JPEG")
        | pictures("dog", 10, ".dib", "BMP"), "",
    ),
    "pictures of an unsupported format": (
        FLAT | {"cat/a.heic": b"x", "dog/b.heic": b"x"}, r"unsupported formats ignored: 2 \.heic",
    ),
    "loose pictures": (FLAT | {"front.png": picture(3)}, "1 images outside the class folders"),
    "hidden pictures": (FLAT | {"cat/.a.png": picture(3)}, "start with a dot ignored: .a.png"),
}  # fmt: skip


@pytest.mark.parametrize("case", FLAT_CASES)
def test_classes_are_recognised_and_what_is_ignored_is_said(case, tmp_path):
    tree, note = FLAT_CASES[case]
    data = load(write_tree(tmp_path / "pets", tree))
    assert totals(data) == FLAT
    assert re.search(note, "\n".join(data.notes)), data.notes


def test_a_class_named_train_beside_classes_is_a_class_and_said_to_be_one(tmp_path):
    data = load(write_tree(tmp_path, {"bus": 5, "car": 6, "train": 7}))
    assert totals(data) == {"bus": 5, "car": 6, "train": 7}
    assert any("'train' has the name of a split" in note for note in data.notes)


def test_a_split_without_class_folders_has_no_labels_and_is_said_to_be_ignored(tmp_path):
    for test in ("test", "test/images", "test/test"):
        root = write_tree(tmp_path / test.replace("/", "-"), {"train/cat": 10, "train/dog": 10})
        data = load(write_tree(root, {test: 4}))
        assert totals(data) == FLAT
        assert any("4 images in 'test' are in no class folder" in note for note in data.notes)


REFUSED = {
    "splits of unknown names": (
        {"first/cat": 5, "first/dog": 5, "second/cat": 5, "second/dog": 5},
        r"hold the same folders \(cat, dog\)",
    ),
    "splits within classes": (
        {"cat/train": 5, "cat/test": 5, "dog/train": 5, "dog/test": 5}, "put the splits outside",
    ),
    "one split of an unknown name": (
        {"train/cat": 5, "train/dog": 5, "tst/cat": 5, "tst/dog": 5}, "'tst' .* has the class fold",
    ),
    "two folders of one split": (
        {"train/cat": 5, "train/dog": 5, "val/cat": 5, "dev/cat": 5}, "both dev/ and val/",
    ),
    "classes beside a split": (
        {"train/cat": 5, "train/dog": 5, "bus": 5, "car": 5}, "both train/ and bus, car",
    ),
    "a class of train beside it": (
        {"train/cat": 5, "train/dog": 5, "test/cat": 5, "test/dog": 5, "cat": 5}, "and cat, which",
    ),
    "splits without classes": ({"train": 8, "test": 8}, "train/ .*no class folders"),
    "splits without classes, and a table": (
        {"train": 8, "test": 8, "labels.csv": "x"}, "give the table '.*labels.csv' as DATA",
    ),
    "a flat test beside classes": ({"cat": 5, "dog": 5, "test": 5}, "test/ beside cat, dog"),
    "train without classes": ({"train": 9, "val/cat": 5, "val/dog": 5}, "train' holds images but"),
    "no train": ({"val/cat": 5, "test/cat": 5}, "but no train/"),
    "images alone": ({".": 9}, "no class folders"),
    "one folder, and a table": ({"images": 9, "t.csv": "x"}, "give the table '.*t.csv' as DATA"),
    "a class with a dot": (FLAT | {".net": 5}, r"\.net' holds images, but"),
    "a class of an unsupported format": (
        FLAT | {"emu/a.heic": b"x", "emu/b.HEIC": b"x"}, r"class '.*emu' .* 2 \.heic files",
    ),
    "a wrapper beside such a class": (
        {"cat/red": 5, "cat/grey": 5, "dog/a.heic": b"x"}, r"dog' .* 1 \.heic",
    ),
    "a split of an unsupported format": (
        {"train/cat": 5, "train/dog": 5, "test/cat/a.heic": b"x"}, r"split folder '.*test' .*heic",
    ),
    "images without a suffix": (FLAT | pictures("emu", 5, ""), "emu' holds images without an ima"),
    "a class of broken pictures": (
        {"cat": 100, "dog": 100} | broken("emu", 5), "none of the 3 .* class 'emu' can be read",
    ),
    "other case in another split": (
        {"train/cat": 5, "train/dog": 5, "test/Cat": 5}, r"class 'Cat' is in test .*has 'cat'",
    ),
    "links to nothing": (
        FLAT | {f"cat/x{n}.png": Path("gone") for n in range(9)}, "9 of 29 images .* do not exist",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_told_or_would_be_lost_is_refused_with_the_reason(case, tmp_path):
    tree, message = REFUSED[case]
    with pytest.raises(DataError, match=f"(?s){message}") as caught:
        load(write_tree(tmp_path / "pets", tree))
    assert len(str(caught.value).splitlines()) <= 2


def test_names_that_are_not_utf_8_are_refused_and_shown(tmp_path):
    for at, name in enumerate((b"cat/caf\xe9.png", b"caf\xe9/0.png")):
        root = write_tree(tmp_path / str(at), FLAT)
        for number in range(5):
            path = Path(under_bytes(root, name.replace(b"0", b"%d" % number)))
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture(number))
        with pytest.raises(DataError, match=r"caf\\xe9.* is not UTF-8(.|\n)*rename") as caught:
            load(root)
        str(caught.value).encode()


def test_an_ignored_file_may_have_any_name(tmp_path):
    root = write_tree(tmp_path, FLAT)
    Path(under_bytes(root, b"caf\xe9 \x1b[2J.txt")).write_text("x")
    (note,) = load(root).notes[:1]
    assert "caf\\xe9" in note and "\x1b" not in note


def test_composed_and_decomposed_names_are_one_class_in_different_splits(tmp_path):
    composed, other = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    tree = {"train/dog": 5, "test/dog": 5, f"train/{composed}": 5, f"test/{other}": 5}
    assert set(load(write_tree(tmp_path / "a", tree)).classes) == {composed, "dog"}
    with pytest.raises(DataError, match=r"caf\\xe9' and 'cafe\\u0301'|cafe\\u0301' and 'caf\\xe9'"):
        load(write_tree(tmp_path / "b", {composed: 5, other: 5, "dog": 5}))


def test_snapshots_of_links_are_read(tmp_path):
    blobs = write_tree(tmp_path / "hub" / "blobs", {f"{n:04x}": picture(n) for n in range(20)})
    links = {
        f"snapshots/0a1b/{('cat', 'dog')[n // 10]}/{n}.png": blobs / f"{n:04x}" for n in range(20)
    }
    root = write_tree(tmp_path / "hub", links)
    assert totals(load(root / "snapshots" / "0a1b")) == FLAT
    assert totals(load(root)) == FLAT  # the snapshot is looked into


def test_a_folder_that_links_lead_to_is_no_class(tmp_path):
    root = write_tree(tmp_path, {"store": 20})
    write_tree(root, {f"{('cat', 'dog')[n // 10]}/{n}.png": root / "store" / f"{n}.png"
                      for n in range(20)})  # fmt: skip
    data = load(root)
    assert totals(data) == FLAT
    assert any("links lead to ignored: store" in note for note in data.notes)


def test_linked_folders_are_read_once(tmp_path):
    outside = write_tree(tmp_path / "outside", {"x": 4})
    root = write_tree(tmp_path / "pets", FLAT | {"cat/more": outside, "dog/up": tmp_path})
    write_tree(root, {"dog/deep/again": root / "cat", "dog/all": Path("/")})
    data = load(root)
    assert totals(data) == {"cat": 14, "dog": 10}
    assert any("links to folders of the same data" in note for note in data.notes)


SPLIT_NAMES = {
    "train": ("train", "Training", "TRAIN", "training_set", "trainset", "train_images", "1_train"),
    "val": ("val", "valid", "Validation", "dev", "val_set", "valImages"),
    "test": ("test", "Testing", "holdout", "TEST", "test_set", "held_out"),
}
CLASSES = st.lists(
    st.sampled_from(["cat", "dog", "café", "7", "a b", "bullet_train", "n01", "stress test!"]),
    min_size=2, max_size=4, unique=True,
)  # fmt: skip
JUNK = ("@eaDir", "$RECYCLE.BIN", "__MACOSX", "lost+found", ".ipynb_checkpoints", ".Trash-1000")


@settings(max_examples=40)
@given(st.data())
def test_any_usual_folder_has_the_classes_and_counts_that_a_person_would_name(data):
    """Classes, splits under any usual names, wrappers and system folders, in any combination."""
    draw = data.draw
    classes = draw(CLASSES)
    given_splits = draw(st.sampled_from([(), ("train",), ("train", "test"), tuple(SPLIT_NAMES)]))
    names = {split: draw(st.sampled_from(SPLIT_NAMES[split])) for split in given_splits}
    wrapper = draw(st.sampled_from(["", "dataset/", "archive/v1/"]))
    counts = {s: draw(st.integers(4, 6)) for s in given_splits or ("",)}
    tree = {}
    for split, count in counts.items():
        twice = names.get(split, "") + "/" if split and draw(st.booleans()) else ""
        parent = f"{wrapper}{names[split]}/{twice}" if split else wrapper
        tree |= {f"{parent}{label}": count for label in classes}
        tree[f"{parent}{draw(st.sampled_from(JUNK))}"] = 2
        tree[f"{parent}{classes[0]}/{draw(st.sampled_from(JUNK))}"] = 2
    with tempfile.TemporaryDirectory() as folder:
        found = load(write_tree(Path(folder, "pets"), tree))
    assert totals(found) == dict.fromkeys(sorted(classes), sum(counts.values()))
    if len(given_splits) == 3:
        assert set(splits(found).values()) == {tuple(counts[split] for split in SPLIT_NAMES)}


PIECES = st.sampled_from(
    ["train", "test", "Val", "eval", "cat", "dog", "emu", "images", "@eaDir", ".x", "seg_train",
     "seg_test", "data"]
)  # fmt: skip


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.lists(PIECES, min_size=1, max_size=3).map("/".join), st.integers(0, 5), max_size=8
    )
)
def test_any_folder_at_all_is_read_without_a_silent_change_or_refused(tree):
    with tempfile.TemporaryDirectory() as folder:
        root = write_tree(Path(folder, "pets"), tree)
        try:
            found = load(root)
        except DataError as error:
            assert 0 < len(str(error).splitlines()) <= 2
            return
        there = sum(tree.values())
    read, notes = sum(totals(found).values()), "\n".join(found.notes)
    assert read == there or "ignored" in notes
    for path in (path for path, count in tree.items() if count):
        # Each image's class is one of its folders, or a note says what became of it.
        assert any(part in found.classes or part in notes for part in path.split("/")), path


def test_a_dry_run_says_classes_and_notes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = write_tree(tmp_path / "pets", {"d/Training/cat": 6, "d/Training/dog": 8, "d/@eaDir": 2})
    done = CliRunner().invoke(
        autoplace,
        ["pick", str(root), "--dry-run", "--json", "--backbone", "fashion-vit8"],
        catch_exceptions=False,
        standalone_mode=False,
    )
    document = json.loads(done.stdout)
    assert document["classes"] == {
        "cat": {"train": 4, "val": 1, "test": 1},
        "dog": {"train": 4, "val": 2, "test": 2},
    }
    notes = "\n".join(document["notes"])
    for said in ("2 classes, 8 train", "looked inside 'd'", "'Training' as train", "@eaDir",
                 "metric: accuracy", "store: sqlite:///"):  # fmt: skip
        assert said in notes
        assert said in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"pets"}
