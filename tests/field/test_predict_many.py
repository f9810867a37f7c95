"""`predict` on many files: good and bad ones, folders, patterns, lists; tables that keep it all."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import autoplace
from autoplace.backbones import create_chain
from autoplace.model import AdaptedModel, save_adapted
from autoplace.placement import Placement
from autoplace.tracking import start_run
from tests.field._stores import Done, run_here

CLASSES = ("cat", "dög, large")


@pytest.fixture(scope="module")
def winner(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    model = AdaptedModel(create_chain("fashion-vit8"), Placement.parse("2>3"), CLASSES)
    return save_adapted(model.eval(), tmp_path_factory.mktemp("winner") / "winner", "# a card\n")


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """Pictures of many sorts, and files that are none, below the current directory."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    for name in ("a.png", "sub/b.JPG", "sub/deep/c d.png", "[1].png", "été.png", "@eaDir/a.png",
                 ".hidden/x.png"):  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(path)
    (folder / "text.png").write_text("this is no picture")
    (folder / "cut.jpg").write_bytes((folder / "sub" / "b.JPG").read_bytes()[:300])
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("no image")
    (tmp_path / "nothing").mkdir()
    monkeypatch.chdir(tmp_path)
    return folder


GOOD = ["photos/[1].png", "photos/a.png", "photos/sub/b.JPG", "photos/sub/deep/c d.png",
        "photos/été.png"]  # fmt: skip
BAD = ["photos/cut.jpg", "photos/empty.png", "photos/text.png"]


def predict(winner: Path, photos: Path, *arguments: object, **environment: str) -> Done:
    return run_here("predict", winner, *arguments, cwd=photos.parent, **environment)


def paths(done: Done) -> list[str]:
    return [json.loads(line)["path"] for line in done.out.splitlines()]


def bad_paths(done: Done) -> list[str]:
    lines = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    return [line.removeprefix("Error: ").partition(": ")[0] for line in lines]


# What is given, the images that have a row, and what has a line of its own on stderr.
GIVEN = {
    "good files": (["photos/a.png", "photos/sub/b.JPG"], ["photos/a.png", "photos/sub/b.JPG"], []),
    "a bad file between good ones": (
        ["photos/a.png", "photos/text.png", "photos/été.png"], ["photos/a.png", "photos/été.png"],
        ["photos/text.png"],
    ),
    "a file that is missing": (["x.png", "photos/a.png"], ["photos/a.png"], ["x.png"]),
    "bad files alone": (BAD, [], BAD),
    "a folder": (["photos"], GOOD, BAD),
    "an empty folder": (["nothing", "photos/a.png"], ["photos/a.png"], ["nothing"]),
    "a pattern": (["photos/*.JPG", "photos/sub/*.JPG"], ["photos/sub/b.JPG"], ["photos/*.JPG"]),
    "a pattern over folders": (
        ["photos/**/*.[jJ]*"], ["photos/sub/b.JPG"], ["photos/cut.jpg"]
    ),
    "a name that looks like a pattern": (["photos/[1].png"], ["photos/[1].png"], []),
    "a file that is named like no image": (["photos/notes.txt"], [], ["photos/notes.txt"]),
    "the same file twice": (["photos/a.png"] * 2, ["photos/a.png"] * 2, []),
}  # fmt: skip


@pytest.mark.parametrize("case", GIVEN)
def test_each_good_image_has_a_row_and_each_bad_one_a_line(case, winner, photos):
    given, rows, bad = GIVEN[case]
    done = predict(winner, photos, *given, "--json")
    assert sorted(paths(done)) == sorted(rows)
    assert sorted(bad_paths(done)) == sorted(bad)
    assert done.code == (1 if bad else 0)
    assert "Traceback" not in done.err


@pytest.mark.parametrize("content", [
    b"photos/a.png\nphotos/text.png\n\nphotos/sub/deep/c d.png\n",
    b"photos/a.png\r\nphotos/text.png\r\nphotos/sub/deep/c d.png",
    b"photos/a.png\0photos/text.png\0photos/sub/deep/c d.png\0",
], ids=["lines", "lines of Windows", "find -print0"])  # fmt: skip
def test_list_on_stdin_is_read(content, winner, photos, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    done = predict(winner, photos, "-", "--json")
    assert paths(done) == ["photos/a.png", "photos/sub/deep/c d.png"]
    assert (done.code, bad_paths(done)) == (1, ["photos/text.png"])


def test_empty_list_on_stdin_is_bad_input(winner, photos, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    done = predict(winner, photos, "-")
    assert done.code == 2
    assert "the list on stdin is empty" in done.err


READERS = {
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".jsonl": lambda path: pd.DataFrame(map(json.loads, path.read_text("utf-8").splitlines())),
}


@pytest.mark.parametrize("suffix", READERS)
def test_file_holds_every_row_with_all_probabilities(suffix, winner, photos):
    out = photos.parent / f"found{suffix}"
    done = predict(winner, photos, "photos", "--out", out, "--probabilities")
    assert (done.code, done.out) == (1, f"5 rows in {out}\n")
    table = READERS[suffix](out)
    assert sorted(table["path"]) == sorted(GOOD)
    if suffix == ".jsonl":
        table = table.join(pd.json_normalize(table["probabilities"].tolist()))
        table = table.rename(columns={name: f"probability:{name}" for name in CLASSES})
    each = table[[f"probability:{name}" for name in CLASSES]]
    assert each.sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-6)
    assert each.max(axis=1).to_numpy() == pytest.approx(table["probability"].to_numpy())
    assert [entry.name for entry in photos.parent.glob(".*")] == []


@pytest.mark.parametrize(
    ("out", "expected"),
    [("found.xlsx", "must end in .csv"), ("none/found.csv", "cannot be written"),
     ("photos.csv", "cannot be written")],
)  # fmt: skip
def test_file_that_cannot_be_written_is_refused_before_anything_is_read(
    out, expected, winner, photos
):
    (photos.parent / "photos.csv").mkdir()
    done = predict(winner, photos, "photos", "--out", out)
    assert done.code == 2
    assert expected in done.err
    assert bad_paths(done) != BAD


def test_rows_are_printed_if_the_disk_is_full_at_the_end(winner, photos, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("autoplace.agent.steps._prediction.os.replace", full)
    done = predict(winner, photos, "photos/a.png", "--out", "found.csv")
    assert done.code == 1
    assert "photos/a.png" in done.out
    assert "free some space; the rows are on stdout" in done.err.splitlines()[-1]
    assert not list(photos.parent.glob("*found*"))


def test_rows_of_an_interrupted_prediction_are_kept(winner, photos, monkeypatch):
    read = autoplace.load(winner).read_image

    def stopped(path):
        if path.endswith("b.JPG"):
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr("autoplace.agent.steps._load._reader", lambda folder: stopped)
    done = predict(winner, photos, "photos/a.png", "photos/sub/b.JPG", "--out", "found.csv")
    assert done.code == 130
    assert done.err.splitlines()[-1] == "interrupted; 1 rows are kept in found.csv"
    assert pd.read_csv(photos.parent / "found.csv")["path"].tolist() == ["photos/a.png"]


def test_name_that_is_not_text_is_shown_with_escapes(winner, photos):
    name = os.fsencode(photos) + b"/caf\xe9.png"
    try:
        shutil.copy(os.fsencode(photos / "a.png"), name)
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    for out in ("found.csv", "found.parquet", "found.jsonl"):
        done = predict(winner, photos, os.fsdecode(name), "--out", out)
        assert done.code == 0, done.err
        assert "caf\\udce9.png" in str(READERS[Path(out).suffix](photos.parent / out)["path"][0])


@pytest.mark.parametrize("width", [40, 60, 80])
def test_table_fits_the_terminal(width, winner, photos):
    done = predict(winner, photos, "photos", "--probabilities", COLUMNS=str(width))
    assert max(map(len, done.out.splitlines())) <= width
    for name in ("été.png", "c d.png", *CLASSES):
        assert name in done.out.replace("\n", "")


def test_function_takes_folders_and_raises_for_a_bad_image(winner, photos):
    found = autoplace.predict(winner, "photos/sub", probabilities=True)
    assert found.columns.tolist() == [
        "path", "predicted", "probability", *(f"probability:{name}" for name in CLASSES)
    ]  # fmt: skip
    assert len(found) == 2
    with pytest.raises(autoplace.UserError, match=r"cannot read photos/text.png"):
        autoplace.predict(winner, ["photos/a.png", "photos/text.png"])


def test_winner_in_the_run_folder_serves_if_mlflow_has_no_copy_of_it(winner, photos, new_store):
    store = new_store()
    run = start_run(store, "photos", "pick")
    shutil.copytree(winner, store.run_folder(run.run_id) / "winner")
    done = predict(run.run_id, photos, "photos/a.png", "--json", "--store", store.uri)
    assert done.code == 0, done.err
    assert paths(done) == ["photos/a.png"]
