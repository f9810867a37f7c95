"""No file leads autoplace to read or write where it was not told to."""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import zipfile

import pandas as pd
import pytest

import predictors
from autoplace.agent import load
from autoplace.agent.steps._sample import read_placements
from autoplace.data import DataError, create_transform, load_data
from autoplace.errors import UserError
from autoplace.tracking import Journal, Store, TrackingError, push_unsent
from autoplace.tracking.ledger._events import RunEvent
from predictors import PredictorError

OUTSIDE = ["../secret.png", "a/../../secret.png", "/etc/hostname", "./../data/../secret.png"]


@pytest.fixture
def table(tmp_path, image_folder):
    """A table of images in a folder, and a picture beside the folder."""
    folder = shutil.copytree(image_folder, tmp_path / "data")
    shutil.copy(next(folder.rglob("*.png")), tmp_path / "secret.png")
    files = sorted(folder.rglob("*.png"))
    rows = [(str(file.relative_to(folder)), file.parent.name) for file in files]
    return folder, pd.DataFrame(rows, columns=["path", "label"])


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_names_images_in_its_own_folder_only(table, path, suffix):
    folder, rows = table
    rows.loc[0, "path"] = path
    file = folder / f"t.{suffix}"
    rows.to_csv(file, index=False) if suffix == "csv" else rows.to_parquet(file)
    with pytest.raises(DataError, match="is outside the manifest's folder"):
        load_data(str(file), transform=create_transform({"input_size": [3, 32, 32]}))


@pytest.mark.parametrize("run_id", ["../../evil", "/etc", "a/b", "..", "", "a\\b", "a\nb"])
def test_a_run_id_is_the_name_of_a_folder(new_store, run_id):
    with pytest.raises(TrackingError, match="is not the id of a run"):
        new_store().run_folder(run_id)


def test_a_ledger_that_names_a_path_as_its_run_is_not_followed(new_store, tmp_path):
    store = new_store()
    journal = Journal(store, "digits", "pick digits", {}, {}, print)
    journal._ledger.append(RunEvent("i", "../../evil"))
    journal._lock.release()
    before = sorted(tmp_path.rglob("*"))
    push_unsent(store)
    assert [path for path in sorted(tmp_path.rglob("*")) if "evil" in str(path)] == []
    assert len(before) > 0


def test_checksums_that_name_other_files_do_not_have_them_read(tmp_path):
    folder = shutil.copytree(predictors.shipped_folder(), tmp_path / "p")
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text() + "0" * 64 + "  ../../secret\n")
    predictors.load_predictor(folder)
    sums.write_text(sums.read_text().replace("model.txt", "../model.txt"))
    with pytest.raises(PredictorError, match=r"model\.txt does not match its checksum"):
        predictors.load_predictor(folder)


def test_a_file_of_placements_names_no_files(tmp_path):
    path = tmp_path / "placements.txt"
    for text in ("../../etc/passwd", "@/etc/passwd", "7>3@../x:r=2", "$(true)", "7>3@lora:r=`id`"):
        path.write_text(text)
        with pytest.raises(UserError, match="line 1"):
            read_placements(str(path))


def archives(folder):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("../../evil/0.png", b"x")
    (folder / "images.zip").write_bytes(packed.getvalue())
    with tarfile.open(folder / "images.tar.gz", "w:gz") as file:
        file.addfile(tarfile.TarInfo("../../evil/1.png"))
    return [folder / "images.zip", folder / "images.tar.gz"]


def test_archives_are_refused_wherever_a_folder_or_file_is_expected(tmp_path, new_store):
    transform, store = create_transform({"input_size": [3, 32, 32]}), new_store()
    for path in archives(tmp_path):
        with pytest.raises(DataError, match="neither a folder nor a manifest"):
            load_data(str(path), transform=transform)
        renamed = path.with_suffix(".csv")
        shutil.copy(path, renamed)
        with pytest.raises(DataError):
            load_data(str(renamed), transform=transform)
        with pytest.raises(PredictorError):
            predictors.read_log(path)
        with pytest.raises(PredictorError):
            predictors.load_predictor(path)
        with pytest.raises(UserError):
            read_placements(str(path))
        with pytest.raises(UserError):
            load(path, store=store.uri)
    assert not list(tmp_path.rglob("evil*"))


def test_tables_that_would_not_fit_into_memory_are_refused_before_they_are_unpacked(
    tmp_path, monkeypatch
):
    """A billion equal rows take a few MiB on disk; here, a million and lower limits."""
    path = tmp_path / "bomb.parquet"
    pd.DataFrame({"path": ["x.png"] * 1_000_000, "label": "cat"}).to_parquet(path)
    assert path.stat().st_size < 2**14
    monkeypatch.setattr(sys.modules["autoplace.data._table"], "MOST_ROWS", 999_999)
    with pytest.raises(DataError, match="1,000,000 rows, more than 999,999; divide it"):
        load_data(str(path), transform=create_transform({"input_size": [3, 32, 32]}))
    monkeypatch.setattr(sys.modules["predictors._parquet"], "MOST_BYTES", 2**23)
    with pytest.raises(PredictorError, match="bytes in memory, more than"):
        predictors.read_log(path)


def test_a_store_whose_folder_is_a_link_keeps_runs_where_the_link_leads(new_store, tmp_path):
    store = new_store()
    link = tmp_path / "link"
    link.symlink_to(store.folder)
    again = Store(f"sqlite:///{link}/mlflow.db")
    assert again.run_folder("ab12").parent.parent.resolve() == store.folder.resolve()
