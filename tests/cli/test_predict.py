"""A winner is the same model in a new process, to the command line, to Python and to MLflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image

ELSEWHERE = """
import json, sys
import numpy as np, torch, autoplace
from PIL import Image

run_id, store, model_uri, *paths = sys.argv[1:]
images = [Image.open(path).convert("RGB") for path in paths]

model = autoplace.load(run_id, store=store)
with torch.inference_mode():
    scores = model(torch.stack([model.transform(image) for image in images])).softmax(1)

import mlflow
mlflow.set_tracking_uri(store)
served = mlflow.pyfunc.load_model(model_uri)
theirs = served.predict(np.stack([np.asarray(image) for image in images]))
print(json.dumps({
    "classes": model.classes,
    "probabilities": scores.tolist(),
    "served": np.asarray(theirs).tolist(),
    "signature": str(served.metadata.signature),
}))
"""


@pytest.fixture(scope="module")
def scored(picked) -> pd.DataFrame:
    """What the winner predicted for every test image when it was scored."""
    return pd.read_parquet(f"{picked.document['folder']}/test_predictions.parquet")


@pytest.fixture(scope="module")
def elsewhere(picked, store, scored, tmp_path_factory):
    """The winner loaded by `autoplace.load` and by MLflow in a new process."""
    run_id = picked.document["run_id"]
    (output,) = store.client.get_run(run_id).outputs.model_outputs
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, run_id, store.uri, f"models:/{output.model_id}",
         *scored["path"]],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_scored_predictions_are_what_the_test_figure_says(scored, picked):
    accuracy = (scored["label"] == scored["predicted"]).mean()
    assert picked.document["test"]["winner"]["by_seed"]["0"] == pytest.approx(accuracy)
    assert len(scored) == picked.document["task"]["test"]


def test_a_winner_reloaded_in_a_new_process_predicts_what_was_scored(elsewhere, scored):
    table = pd.DataFrame(elsewhere["probabilities"], columns=elsewhere["classes"])
    assert table.idxmax(axis=1).tolist() == scored["predicted"].tolist()
    assert table.max(axis=1).tolist() == pytest.approx(scored["probability"].tolist(), abs=1e-4)


def test_mlflow_loads_the_same_model_with_its_signature(elsewhere):
    for ours, theirs in zip(elsewhere["probabilities"], elsewhere["served"], strict=True):
        assert theirs == pytest.approx(ours, abs=1e-5)
    assert "uint8" in elsewhere["signature"]


def test_predict_gives_class_and_probability_of_each_image_by_run_and_by_folder(
    cli, home, picked, scored
):
    paths = scored["path"].head(3).tolist()
    by_run = cli("predict", picked.document["run_id"], *paths, "--json", cwd=home)
    by_folder = cli("predict", picked.document["folder"], *paths, "--json", cwd=home)
    assert by_run.code == 0, by_run.err
    assert by_run.out == by_folder.out
    for row, expected in zip(by_run.lines, scored.head(3).itertuples(), strict=True):
        assert set(row) == {"path", "predicted", "probability"}
        assert (row["path"], row["predicted"]) == (expected.path, expected.predicted)
        assert row["probability"] == pytest.approx(expected.probability, abs=1e-4)


def test_predict_takes_images_of_any_size_and_prints_a_table_for_people(
    cli, home, picked, tmp_path
):
    Image.new("L", (50, 20), 128).save(tmp_path / "grey.png")
    done = cli("predict", picked.document["folder"], tmp_path / "grey.png", cwd=home)
    assert done.code == 0, done.err
    header, _, row = done.out.splitlines()
    assert header.split() == ["image", "class", "probability"]
    assert row.split()[0] == str(tmp_path / "grey.png")
