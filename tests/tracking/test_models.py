from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow
import mlflow.cli
import numpy as np
import pytest

import autoplace
from autoplace.tracking import (
    Store,
    TrackingError,
    champion,
    fetch_winner,
    log_winner_model,
    open_ui_command,
    promote,
    register_version,
    start_run,
)


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "some artefact"
    folder.mkdir()
    (folder / "placement.json").write_text('{"placement": "7>3"}')
    return folder


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def stand_in(monkeypatch):
    """Stands in for `autoplace.load`: mean colour as logits, so that no training is needed."""
    import torch

    class MeanColour(torch.nn.Module):
        def __init__(self, folder: str) -> None:
            super().__init__()
            assert json.loads((Path(folder) / "placement.json").read_text())

        def transform(self, image):
            return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255

        def forward(self, images):
            return images.mean((2, 3))

    monkeypatch.setattr(autoplace, "load", MeanColour, raising=False)


def _mean_colour(images: np.ndarray) -> np.ndarray:
    scores = np.exp(images.mean((1, 2)) / 255)
    return (scores / scores.sum(1, keepdims=True)).astype("float32")


def test_logged_winner_predicts_what_it_predicted(store, folder, images, stand_in):
    run = start_run(store, "digits", "pick")
    log_winner_model(run, folder, images, _mean_colour(images))
    model = mlflow.pyfunc.load_model(str(run.fetch("model")))
    np.testing.assert_allclose(model.predict(images), _mean_colour(images), atol=1e-6)
    smaller = images[:1, :20, :28]  # the winner's transform takes any size
    np.testing.assert_allclose(model.predict(smaller), _mean_colour(smaller), atol=1e-6)


def test_winner_has_signature_and_example_and_is_listed_among_the_models(store, folder, images):
    run = start_run(store, "digits", "pick")
    uri = log_winner_model(run, folder, images, _mean_colour(images))
    card = mlflow.models.Model.load(str(run.fetch("model")))
    assert card.signature.inputs.inputs[0].shape == (-1, -1, -1, 3)
    assert card.signature.outputs.inputs[0].shape == (-1, 3)
    np.testing.assert_array_equal(card.load_input_example(str(run.fetch("model"))), images)
    assert card.run_id == run.run_id
    (listed,) = store.client.search_logged_models([run.experiment_id])
    assert (listed.model_uri, listed.status) == (uri, "READY")
    (output,) = store.client.get_run(run.run_id).outputs.model_outputs
    assert f"models:/{output.model_id}" == uri
    names = {artifact.path for artifact in store.client.list_artifacts(run.run_id, "model")}
    assert {"model/MLmodel", "model/artifacts"} <= names


def test_nothing_is_pickled_and_no_run_is_left_active(store, folder, images):
    run = start_run(store, "digits", "pick")
    log_winner_model(run, folder, images, _mean_colour(images))
    register_version(store, folder)
    files = [path for path in (store.folder / "artifacts").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]
    assert not [path for path in files if path.read_bytes().startswith(b"\x80")]  # pickle's mark
    assert mlflow.active_run() is None
    assert not list(Path.cwd().glob("ml*"))  # MLflow's global store was never touched


def test_winner_folder_is_fetched_as_it_was(store, folder, images):
    run = start_run(store, "digits", "pick")
    with pytest.raises(TrackingError, match="could not fetch 'model'"):
        fetch_winner(run)
    log_winner_model(run, folder, images, _mean_colour(images))
    assert (fetch_winner(run) / "placement.json").read_text() == '{"placement": "7>3"}'
    with pytest.raises(TrackingError, match="no winner in"):
        log_winner_model(run, folder / "absent", images, _mean_colour(images))


def test_champion_is_the_version_that_was_promoted_last(store, folder):
    assert champion(store) is None
    first = register_version(store, folder, {"regret_at_1": 0.02})
    (folder / "placement.json").write_text("second")
    second = register_version(store, folder)
    assert (first, second) == (1, 2)
    assert champion(store) is None  # registering promotes nobody
    promote(store, first)
    assert (champion(store) / "placement.json").read_text() == '{"placement": "7>3"}'
    promote(store, second)
    assert (champion(store) / "placement.json").read_text() == "second"
    with pytest.raises(TrackingError, match="could not promote version 7"):
        promote(store, 7)
    with pytest.raises(TrackingError, match="no predictor in"):
        register_version(store, folder / "absent")


def test_no_store_has_no_champion_and_is_not_created():
    assert champion(Store()) is None
    assert not Store().exists


def test_shipped_predictor_can_be_registered_and_loaded_through_mlflow(store):
    import predictors

    shipped = predictors.shipped_folder()
    promote(store, register_version(store, shipped))
    found = champion(store)
    assert {path.name for path in found.iterdir()} == {path.name for path in shipped.iterdir()}
    model = mlflow.pyfunc.load_model(str(found.parents[1]))
    assert hasattr(model.unwrap_python_model().predictor, "predict")


def test_ui_command_shows_this_store(store):
    command = open_ui_command(store)
    assert command[:4] == [sys.executable, "-m", "mlflow", "server"]
    assert store.uri in command
    assert store.artifact_root in command
    known = {option for param in mlflow.cli.cli.commands["server"].params for option in param.opts}
    assert {option for option in command if option.startswith("--")} <= known


def test_ui_of_a_server_is_its_own_address():
    command = open_ui_command(Store("http://localhost:5000"))
    assert command == [sys.executable, "-m", "webbrowser", "http://localhost:5000"]
