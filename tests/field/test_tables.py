"""Tables as people have them: read as a person would, or refused with the reason."""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from autoplace.cli._main import autoplace
from autoplace.data import DataError
from tests.field._data_files import load, splits, totals, under_bytes, write_table, write_tree

FLAT = {"cat": 10, "dog": 10}
SPLIT = {"cat": (6, 2, 2), "dog": (6, 2, 2)}
BOTH = ("path", "label")
GIVEN = {"split": "{split}"}

# Header, what `write_table` is told, and what the notes must say. The classes are always the same.
READ = {
    "the documented names": (BOTH, {}, ""),
    "file_name and class": (("file_name", "class"), {}, "'file_name' as path, 'class' as label"),
    "filename and category": (("filename", "category"), {}, "'category' as label"),
    "capitals and spaces": (("Image Path", "Class Name"), {}, "'Image Path' as path"),
    "image and target": (("image", "target"), {}, "'target' as label"),
    "img_path and labels": (("img_path", "labels"), {}, "'labels' as label"),
    "an index column": (("", "file", "label"), {"row": {"": "{number}", "file": "{path}"}},
                        "a column without a name"),
    "an index of pandas": (("Unnamed: 0", "path", "label"), {"row": {"path": "{path}"}}, "Unnamed"),
    "other columns": (("path", "width", "height", "label"), {}, "ignored: width, height"),
    "numbers beside names": (("path", "class_id", "class"), {}, "ignored: class_id"),
    "equal columns": (("path", "file_name", "label"), {"row": {"file_name": "{path}"}},
                      "ignored: file_name"),
    "semicolons": (BOTH, {"separator": ";"}, "separated by semicolons"),
    "tabs": (BOTH, {"separator": "\t", "name": "table.tsv"}, "separated by tabs"),
    "bars": (BOTH, {"separator": "|"}, "separated by bars"),
    "tabs in a text file": (BOTH, {"separator": "\t", "name": "table.txt"}, "tabs"),
    "a first line with the separator": (BOTH, {"separator": ";", "first": "sep=;\n"}, "semicolons"),
    "a mark of UTF-8": (BOTH, {"encoding": "utf-8-sig"}, ""),
    "UTF-16 of a spreadsheet": (BOTH, {"encoding": "utf-16", "separator": "\t"}, "tabs"),
    "Windows separators": (BOTH, {"row": {"path": "{back}"}}, "backslashes .* in 20 rows"),
    "padded cells": (BOTH, {"row": {"path": "  {path} ", "label": " {label} "}}, "spaces around"),
    "padded, and of Windows": (BOTH, {"row": {"path": " .\\{back} "}}, "backslashes"),
    "a last separator": (("path", "label", ""), {"row": {"label": "{label}", "": ""}},
                         "without a name"),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_usual_tables_are_read_and_what_was_understood_is_said(case, tmp_path):
    header, how, note = READ[case]
    data = load(write_table(tmp_path / "pets", header, **how), max_bad=0.0)
    assert totals(data) == FLAT
    assert re.search(note, "\n".join(data.notes)), data.notes


# Header and templates of columns that hold the splits.
SPLIT_COLUMNS = {
    "split": (("path", "split", "label"), GIVEN, ""),
    "subset": (("path", "subset", "label"), {"subset": "{split}"}, "'subset' as split"),
    "fold of names": (("path", "fold", "label"), {"fold": "{split}"}, "'fold' as split"),
    "Set": (("path", "Set", "label"), {"Set": " {split}"}, "'Set' as split"),
    "booleans": (
        ("path", "is_valid", "is_test", "label"), {"is_valid": "{valid}", "is_test": "{tested}"},
        "'is_valid' as val, 'is_test' as test",
    ),
    "a subset that is no split": (("path", "split", "subset", "label"), GIVEN, "ignored: subset"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPLIT_COLUMNS)
def test_split_columns_are_recognised(case, tmp_path):
    header, row, note = SPLIT_COLUMNS[case]
    data = load(write_table(tmp_path, header, row=row))
    assert splits(data) == SPLIT
    assert re.search(note, "\n".join(data.notes)), data.notes


def test_is_valid_alone_makes_validation_and_leaves_test_to_be_taken_from_train(tmp_path):
    table = write_table(tmp_path, ("name", "is_valid", "label"), row={"is_valid": "{valid}"})
    data = load(table, path_column="name")
    assert [len(split) for split in data.splits] == [12, 4, 4]
    assert not data.made_val
    assert any("'is_valid' as val" in note for note in data.notes)


@pytest.mark.parametrize(
    ("value", "other"), [("dev", "eval"), ("Validation", "Testing"), ("valid", "holdout")]
)
def test_splits_in_cells_have_the_names_that_folders_have(value, other, tmp_path):
    table = write_table(tmp_path, ("path", "split", "label"), row=GIVEN)
    text = table.read_text().replace(",val,", f",{value},").replace(",test,", f",{other},")
    table.write_text(text)
    assert splits(load(table)) == SPLIT


# Header, what `write_table` is told, options that settle it, and the message without them.
SETTLED = {
    "two columns of paths": (
        ("path", "image", "label"), {"image": "{number}.png"}, {"path_column": "path"},
        "--path-column path or --path-column image",
    ),
    "two columns of labels": (
        ("path", "class", "label"), {"class": "{number}"}, {"label_column": "label"},
        "--label-column class or --label-column label",
    ),
    "two columns of splits": (
        ("path", "split", "fold", "label"), GIVEN | {"fold": "{number}"}, {"split_column": "split"},
        "--split-column split or --split-column fold",
    ),
    "a split and a boolean": (
        ("path", "split", "is_valid", "label"), GIVEN | {"is_valid": "{valid}"},
        {"split_column": "split"}, "--split-column split or --split-column is_valid",
    ),
    "folds of numbers": (
        ("path", "fold", "label"), {"fold": "{number}"}, {"split_column": "none"},
        "'0' in column 'fold' .*--split-column",
    ),
    "paths under another name": (
        ("where", "label"), {}, {"path_column": "where"}, "'where' seems to: give --path-column wh",
    ),
    "labels under another name": (
        ("path", "species"), {}, {"label_column": "species"}, r"--label-column \(columns: species",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SETTLED)
def test_what_can_be_read_in_two_ways_is_refused_and_can_be_settled(case, tmp_path):
    header, row, options, message = SETTLED[case]
    table = write_table(tmp_path, header, row=row)
    with pytest.raises(DataError, match=f"(?s){message}") as caught:
        load(table)
    assert len(str(caught.value).splitlines()) <= 2
    assert "remove it" not in str(caught.value)
    assert totals(load(table, **options)) == FLAT


def rewritten(table: Path, before: str, after: str) -> Path:
    table.write_text(table.read_text().replace(before, after))
    return table


REFUSED = {
    "no header": (lambda t: rewritten(t, "path,label\n", ""), "first line .* not a header"),
    "a path that is not there, as understood": (
        lambda t: rewritten(t, "img/", "IMG\\\\"), r"20 of 20 .* do not exist, the first: /.*IMG",
    ),
    "paths relative to a folder beside": (
        lambda t: rewritten(t, "img/", ""), r"'a0\.png' is in img: move the table there",
    ),
    "an absolute path elsewhere": (
        lambda t: rewritten(t, "img/a0.png", "/data/a0.png"), "row 1 .*'/data/a0.png' is outside",
    ),
    "one image of two classes": (
        lambda t: rewritten(t, "img/a1.png,cat", "img/a0.png,dog"), "twice, as 'cat' and 'dog'",
    ),
    "a line break in a label": (
        lambda t: rewritten(t, ",cat", ',"ca\nt"'), r"class 'ca\\nt' .* line break",
    ),
    "another encoding": (
        lambda t: (t.write_bytes(t.read_text().replace("cat", "café").encode("latin-1")), t)[1],
        "must be a table of text in UTF-8",
    ),
    "a class whose files are no images": (
        lambda t: [p.write_bytes(b"x") for p in t.parent.glob("img/a*")] and t,
        "none of the 6 training images of class 'cat' can be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_with_the_reason(case, tmp_path):
    change, message = REFUSED[case]
    table = change(write_table(tmp_path))
    with pytest.raises(DataError, match=f"(?s){message}") as caught:
        load(table)
    assert len(str(caught.value).splitlines()) <= 2


def test_a_column_given_by_a_wrong_name_is_refused_with_a_near_one(tmp_path):
    table = write_table(tmp_path)
    with pytest.raises(DataError, match=r"--label-column: .* 'lable'; did you mean 'label'"):
        load(table, label_column="lable")


def test_pictures_in_the_table_itself_are_refused_with_a_way_out(tmp_path):
    packed = pa.array([{"bytes": b"x", "path": "a.png"}] * 8)
    pq.write_table(pa.table({"image": packed, "label": [0, 1] * 4}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"'image' holds the data itself(.|\n)*save the images"):
        load(tmp_path / "t.parquet")


def test_a_parquet_table_with_an_index_and_whole_floats_is_read(tmp_path):
    table = pd.read_csv(write_table(tmp_path, ("file_name", "label")))
    table["label"] = table["label"].map({"cat": 1.0, "dog": 2.0})
    table.sample(frac=1, random_state=0).to_parquet(tmp_path / "t.parquet")
    data = load(tmp_path / "t.parquet")
    assert totals(data) == {"1": 10, "2": 10}
    assert any("__index_level_0__" in note for note in data.notes)


def test_missing_images_are_counted_at_the_start(tmp_path):
    table = write_table(tmp_path)
    (tmp_path / "img" / "a3.png").unlink()
    (note,) = (note for note in load(table).notes if "do not exist" in note)
    assert note.startswith("1 images do not exist and are skipped, the first: ")


def test_decomposed_names_on_disk_are_found_from_composed_cells(tmp_path):
    table = rewritten(write_table(tmp_path), "img/a0.png", "img/é.png")
    (tmp_path / "img" / "a0.png").rename(tmp_path / "img" / unicodedata.normalize("NFD", "é.png"))
    data = load(table, max_bad=0.0)
    assert totals(data) == FLAT
    assert any("another form of Unicode" in note for note in data.notes)


def test_composed_and_decomposed_labels_are_one_class(tmp_path):
    table = write_table(tmp_path)
    text = table.read_text().replace("cat", "café")
    table.write_text(text.replace("a3.png,café", "a3.png,cafe\u0301"))
    assert totals(load(table)) == {"café": 10, "dog": 10}


def test_a_table_of_links_in_a_snapshot_is_read(tmp_path):
    table = write_table(tmp_path / "blobs", ("file_name", "label"))
    links = {f"img/{p.name}": p for p in (tmp_path / "blobs" / "img").iterdir()}
    snapshot = write_tree(tmp_path / "snapshots" / "0a", links | {"metadata.csv": table})
    assert totals(load(snapshot / "metadata.csv")) == FLAT


def test_a_table_whose_name_is_not_utf_8_is_refused(tmp_path):
    table = write_table(tmp_path)
    other = table.rename(under_bytes(tmp_path, b"caf\xe9.csv"))
    with pytest.raises(DataError, match=r"caf\\xe9.csv' is not UTF-8"):
        load(other)


def test_options_for_columns_do_nothing_to_a_folder_and_that_is_said(tmp_path):
    data = load(write_tree(tmp_path, FLAT), label_column="x")
    assert any("options for columns have no effect" in note for note in data.notes)


NAMES = {
    "path": ["path", "File Name", "filename", "image", "img_path", "IMAGE", "file-path"],
    "label": ["label", "class", "Category", "target", "class_name", "Labels"],
    "split": ["split", "Subset", "fold", "partition", "set", "data_split"],
}


@settings(max_examples=30)
@given(st.data())
def test_any_usual_table_has_the_classes_and_counts_that_a_person_would_name(data):
    """Usual names in any order, other columns, any separator, padding and Windows paths."""
    draw = data.draw
    path, label, split = (draw(st.sampled_from(NAMES[role])) for role in NAMES)
    others = draw(st.lists(st.sampled_from(["", "width", "Unnamed: 0", "id", "note"]), max_size=2))
    header = draw(st.permutations([path, label, split, *dict.fromkeys(others)]))
    pad = draw(st.sampled_from(["", " "]))
    row = {
        path: pad + draw(st.sampled_from(["{path}", "{back}", "./{path}"])),
        label: "{label}" + pad,
        split: pad + "{split}",
        **dict.fromkeys(others, "{number}"),
    }
    with tempfile.TemporaryDirectory() as folder:
        found = load(
            write_table(
                Path(folder),
                header,
                separator=draw(st.sampled_from([",", ";", "\t", "|"])),
                encoding=draw(st.sampled_from(["utf-8", "utf-8-sig"])),
                row=row,
            ),
            max_bad=0.0,
        )
    assert splits(found) == SPLIT


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(["path", "file", "label", "class", "split", "is_valid", "fold", "x",
                              "", "path"]), max_size=4),
    st.lists(st.lists(st.sampled_from(["img/a0.png", "img\\b1.png", "../x", "cat", "dog", "train",
                                       "True", "1", "", " ", "é\0", "\""]), max_size=4),
             max_size=12),
    st.sampled_from([",", ";", "\t"]),
)  # fmt: skip
def test_any_table_at_all_is_read_or_refused_in_a_line_or_two(header, rows, separator):
    with tempfile.TemporaryDirectory() as folder:
        table = write_table(Path(folder))
        table.write_text("\n".join(separator.join(row) for row in [header, *rows]))
        try:
            load(table)
        except DataError as error:
            assert 0 < len(str(error).splitlines()) <= 2


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(autoplace, [str(a) for a in arguments], standalone_mode=False)
    message = f"{type(done.exception).__name__}: {done.exception}" if done.exception else ""
    return done.exit_code, done.stdout, done.stderr + message


def test_the_options_reach_every_command_that_takes_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = write_table(tmp_path / "pets", ("where", "what"))
    common = (table, "--path-column", "where", "--backbone", "fashion-vit8")
    for command in ("pick", "probe", "collect"):
        code, _, told = run(command, *common)
        assert code == 1
        assert "DataError: no column in" in told and "--label-column" in told
    code, out, _ = run("pick", *common, "--label-column", "what", "--dry-run", "--json")
    document = json.loads(out)
    assert document["classes"]["cat"] == {"train": 6, "val": 2, "test": 2}
    assert "columns of the table: read 'where' as path, 'what' as label" in document["notes"]
