"""MLflow models made from code: a loader script beside the artefact, never a pickle."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from autoplace.tracking._error import TrackingError, translated
from autoplace.tracking._quiet import hushed_model_hints
from autoplace.tracking._run import Run

if TYPE_CHECKING:
    import numpy as np
    from mlflow.models import Model, ModelSignature

MODEL_PATH = "model"
_WINNER = "winner"
# What loading a model needs beyond what autoplace itself requires, at the versions of now.
_PINNED = ("autoplace", "mlflow", "torch", "timm", "lightgbm", "numpy", "pandas")


def log_winner_model(
    run: Run, folder: Path | str, input_example: np.ndarray, predictions: np.ndarray
) -> str:
    """Log the winner's folder as an MLflow model: artifact `model` of the run and a logged model.

    Parameters
    ----------
    run : Run
        The invocation's run.
    folder : path
        The winner as `autoplace.load` reads it; copied whole.
    input_example : (batch, height, width, 3) uint8 array
        A few raw images (one or two: they are stored as JSON).
    predictions : (batch, classes) float array
        The class probabilities the winner gives for them.

    Returns
    -------
    str
        The model's URI, `models:/<model id>`.

    Raises
    ------
    TrackingError
        There is no such folder, or the store fails.
    """
    if not Path(folder).is_dir():
        raise TrackingError(f"no winner in {folder}: give the folder that holds placement.json")
    client = run.store.client
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    with translated(f"log the model of run {run.run_id}", run.store.address):
        # Not named as the artifact is: MLflow would then list that artifact through its global
        # tracking store instead of this one.
        logged = client.create_logged_model(
            run.experiment_id, name=_WINNER, source_run_id=run.run_id, model_type=_WINNER
        )
        card = Model(
            artifact_path=logged.artifact_location, run_id=run.run_id, model_id=logged.model_id
        )
        signature = _image_signature(predictions)
        with saved_model(_WINNER, folder, card, signature, input_example) as model_folder:
            client.log_artifacts(run.run_id, str(model_folder), MODEL_PATH)
            client.log_model_artifacts(logged.model_id, str(model_folder))
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return f"models:/{logged.model_id}"


def fetch_winner(run: Run) -> Path:
    """Local folder of the winner that `log_winner_model` logged, as `autoplace.load` reads it.

    Raises TrackingError when the run holds no winner.
    """
    return artefact_folder(run.fetch(MODEL_PATH), _WINNER, f"run {run.run_id}")


def artefact_folder(model_folder: Path, kind: str, owner: str) -> Path:
    """Where inside a saved model the artefact lies.

    Raises TrackingError when it is not there, naming `owner`.
    """
    folder = model_folder / "artifacts" / kind
    if not folder.is_dir():
        raise TrackingError(
            f"{owner} holds no {kind}: {folder} is missing; "
            "its artifacts may have been moved or deleted"
        )
    return folder


@contextmanager
def saved_model(
    kind: str,
    folder: Path | str,
    card: Model,
    signature: ModelSignature | None = None,
    input_example: np.ndarray | None = None,
) -> Iterator[Path]:
    """A temporary MLflow model: `_<kind>_model.py` as its code, `folder` as artefact `kind`."""
    from mlflow import pyfunc

    with tempfile.TemporaryDirectory(prefix="autoplace-") as temporary:
        # MLflow names an artefact after the folder it comes from; a copy gives it a fixed name
        # (MLflow refuses links).
        artefact = shutil.copytree(folder, Path(temporary) / kind)
        target = Path(temporary) / "saved"
        with hushed_model_hints():
            pyfunc.save_model(
                path=str(target),
                python_model=str(Path(__file__).with_name(f"_{kind}_model.py")),
                artifacts={kind: str(artefact)},
                mlflow_model=card,
                signature=signature,
                input_example=input_example,
                # Given, so that MLflow does not load the model in another process to find out.
                pip_requirements=_requirements(),
            )
        yield target


def _image_signature(predictions: np.ndarray) -> ModelSignature:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    # Height and width are free: the winner's own transform resizes.
    images = TensorSpec(np.dtype("uint8"), (-1, -1, -1, 3))
    scores = TensorSpec(predictions.dtype, (-1, *predictions.shape[1:]))
    return ModelSignature(Schema([images]), Schema([scores]))


def _requirements() -> list[str]:
    pins = []
    for package in _PINNED:
        try:
            pins.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue  # autoplace run from its source folder is no installed package
    return pins
