"""Saved predictors: the same after reloading, and refused when anything is off."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import predictors
from predictors import (
    PredictorError,
    SchemaMismatchError,
    create_predictor,
    load_predictor,
    load_training_set,
    save_predictor,
)
from predictors._artifact import newest

FILES = ["SHA256SUMS", "card.md", "model.txt", "schema.json", "training.parquet"]


@pytest.fixture
def saved(data, tmp_path: Path) -> Path:
    predictor = create_predictor("lightgbm", n_estimators=20).fit(data.X, data.y, data.groups)
    return save_predictor(predictor, tmp_path / "v1", card="# Small\n", training=data)


def reseal(folder: Path, name: str, content: str | bytes) -> None:
    """Write `content` to a file of the artefact and its true checksum to the list."""
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    digest = hashlib.sha256(data).hexdigest()
    kept = [line for line in lines if not line.endswith(f"  {name}")]
    (folder / "SHA256SUMS").write_text("\n".join([*kept, f"{digest}  {name}"]) + "\n")


def test_a_reloaded_predictor_predicts_the_same_to_the_last_bit(data, saved: Path) -> None:
    predictor = create_predictor("lightgbm", n_estimators=20).fit(data.X, data.y, data.groups)
    loaded = load_predictor(saved)
    np.testing.assert_array_equal(loaded.predict(data.X), predictor.predict(data.X))
    assert loaded.get_params() == predictor.get_params()


def test_an_artefact_is_plain_text_and_a_table(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == FILES
    for name in FILES[:-1]:
        (saved / name).read_text(encoding="utf-8")


def test_the_training_rows_come_back(data, saved) -> None:
    rows = load_training_set(saved)
    pd.testing.assert_frame_equal(rows.to_frame(), data.to_frame())
    assert list(rows.gains) == list(data.gains)


def test_training_rows_of_an_older_release_count_as_one_trial_each(data, saved) -> None:
    table = data.to_frame().drop(columns=["_count", "_trials"])
    reseal(saved, "training.parquet", table.to_parquet(index=False))
    rows = load_training_set(saved)
    np.testing.assert_array_equal(rows.y, data.y)
    assert (rows.counts == 1).all()


def test_training_rows_of_another_schema_are_refused(data, saved) -> None:
    table = data.to_frame().drop(columns="n_edges")
    reseal(saved, "training.parquet", table.to_parquet(index=False))
    with pytest.raises(PredictorError, match="missing: n_edges"):
        load_training_set(saved)


def test_a_reloaded_predictor_can_be_fitted_and_saved_again(data, saved, tmp_path) -> None:
    again = load_predictor(saved).fit(data.X, data.y, data.groups)
    assert save_predictor(again, tmp_path / "v2", card="# Second\n", training=data).is_dir()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(name: str, saved: Path) -> None:
    (saved / name).unlink()
    with pytest.raises(PredictorError, match="not a complete predictor"):
        load_predictor(saved)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_changed_file_is_refused(name: str, saved: Path) -> None:
    with (saved / name).open("a") as file:
        file.write(" ")
    with pytest.raises(PredictorError, match=f"{name} does not match its checksum"):
        load_predictor(saved)


def test_a_list_of_checksums_that_is_no_list_is_refused(saved: Path) -> None:
    (saved / "SHA256SUMS").write_bytes(b"\xff\xfe nonsense")
    with pytest.raises(PredictorError, match="not a complete predictor"):
        load_predictor(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda stamp: stamp.update(schema_version=99),
        lambda stamp: stamp.update(schema_version=0, columns=None),
        lambda stamp: stamp["columns"].pop(),
        lambda stamp: stamp["columns"].reverse(),
        lambda stamp: stamp["columns"][4].update(dtype="int64"),
    ],
    ids=["newer", "older", "column gone", "order", "type"],
)
def test_another_schema_is_refused(change, saved: Path) -> None:
    stamp = json.loads((saved / "schema.json").read_text())
    change(stamp)
    reseal(saved, "schema.json", json.dumps(stamp))
    for load in (load_predictor, load_training_set):
        with pytest.raises(SchemaMismatchError, match=r"v1: .*trained on feature schema"):
            load(saved)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("schema.json", "{"),
        ("schema.json", "{}"),
        ("schema.json", "[]"),
        ("model.txt", "no trees"),
    ],
)
def test_a_sealed_file_that_makes_no_sense_is_refused(name: str, text: str, saved: Path) -> None:
    reseal(saved, name, text)
    with pytest.raises(PredictorError, match="not a predictor this release can read"):
        load_predictor(saved)


def test_only_a_fitted_lightgbm_predictor_is_saved_and_only_to_an_empty_folder(
    data, saved: Path, tmp_path: Path
) -> None:
    ridge = create_predictor("ridge").fit(data.X, data.y, data.groups)
    for predictor in (ridge, create_predictor("lightgbm")):
        with pytest.raises(PredictorError, match="only a fitted LightGBMPredictor"):
            save_predictor(predictor, tmp_path / "other", card="", training=data)
    with pytest.raises(PredictorError, match="not an empty folder"):
        save_predictor(load_predictor(saved), saved, card="", training=data)


def test_the_newest_is_the_highest_version_not_the_last_in_the_alphabet(tmp_path: Path) -> None:
    for name in ("v2", "v10", "v9", "vx", "w11"):
        (tmp_path / name).mkdir()
    assert newest(tmp_path).name == "v10"


def test_an_empty_shelf_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(PredictorError, match="no predictor in"):
        newest(tmp_path)


ALL_NAMES = "import sys, predictors; [getattr(predictors, name) for name in predictors.__all__]; "


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (ALL_NAMES, {"torch", "timm", "autoplace"}),
        ("import sys, predictors.vocabulary; ", {"torch", "pandas", "numpy", "lightgbm"}),
    ],
    ids=["every public name", "vocabulary alone"],
)
def test_the_package_imports_neither_torch_nor_autoplace(code: str, absent: set[str]) -> None:
    code += "print(*{name.partition('.')[0] for name in sys.modules})"
    root = Path(predictors.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert "predictors" in imported
    assert not imported & absent


def test_every_public_name_exists() -> None:
    assert all(hasattr(predictors, name) for name in predictors.__all__)
    assert {"gate", "log_table", "settle_families", "TrainingSet"} <= set(predictors.__all__)


def test_the_shipped_predictor_says_what_its_rows_are_worth() -> None:
    card = " ".join((predictors.shipped_folder() / "card.md").read_text().split())
    data = load_training_set(predictors.shipped_folder())
    assert set(data.protocols) == {"found-rate"}
    assert f"| found-rate | {len(data)} |" in card
    assert "only compare placements with the same number of edges" not in card
    assert "It learns from placement and kinds alone" in card
    assert not predictors.shipped_predictor().use_probe
