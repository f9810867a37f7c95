"""MLflow models made from code: a loader script beside the artefact, never a pickle."""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autoplace.tracking._error import TrackingError

if TYPE_CHECKING:
    import numpy as np
    from mlflow.models import Model, ModelSignature

MODEL_PATH = "model"
ArtefactKind = Literal["winner", "predictor"]
# What loading a model needs beyond what autoplace itself requires, at the installed versions.
_PINNED = ("autoplace", "mlflow", "torch", "timm", "lightgbm", "numpy", "pandas")


@contextmanager
def saved_model(
    kind: ArtefactKind,
    folder: Path | str,
    card: Model,
    signature: ModelSignature | None = None,
    input_example: np.ndarray | None = None,
) -> Iterator[Path]:
    """Make a temporary MLflow model: `_<kind>_model.py` as its code, `folder` as its artefact.

    Parameters
    ----------
    kind : {"winner", "predictor"}
        Names the script and the artefact.
    folder : Path or str
        The artefact; copied whole.
    card : mlflow.models.Model
        Where the model is going to be logged; MLflow writes it into the model.
    signature, input_example : optional
        What the model takes and gives.

    Yields
    ------
    Path
        The model's folder, which is removed afterwards.
    """
    from mlflow import pyfunc

    with tempfile.TemporaryDirectory(prefix="autoplace-") as temporary:
        # MLflow names an artefact after the folder it comes from; a copy gives it a fixed name
        # (MLflow refuses links).
        artefact = shutil.copytree(folder, Path(temporary) / kind)
        target = Path(temporary) / "saved"
        with _without_hints():
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


def artefact_folder(model_folder: Path, kind: ArtefactKind, owner: str) -> Path:
    """Where the artefact is inside a saved model.

    Raises
    ------
    TrackingError
        It is not there; the message names `owner`.
    """
    folder = model_folder / "artifacts" / kind
    if not folder.is_dir():
        raise TrackingError(
            f"{owner} holds no {kind}: {folder} is missing; "
            "its artifacts may have been moved or deleted"
        )
    return folder


@contextmanager
def _without_hints() -> Iterator[None]:
    """Silence MLflow's hints to developers of models; its errors still come through."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _requirements() -> list[str]:
    pins = []
    for package in _PINNED:
        try:
            pins.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue  # autoplace run from its source folder is not an installed package
    return pins
