"""The winner of a pick as an MLflow model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autoplace.tracking._error import TrackingError, translated
from autoplace.tracking.models._from_code import (
    MODEL_PATH,
    ArtefactKind,
    artefact_folder,
    saved_model,
)
from autoplace.tracking.store import Run

if TYPE_CHECKING:
    import numpy as np
    from mlflow.models import ModelSignature

_WINNER: ArtefactKind = "winner"


def log_winner_model(
    run: Run, folder: Path | str, input_example: np.ndarray, predictions: np.ndarray
) -> str:
    """Log the winner's folder as an MLflow model.

    It becomes the artifact `model` of the run, and a logged model in MLflow's own list of models,
    in place of one that the run has logged before.

    Parameters
    ----------
    run : Run
        The invocation's run.
    folder : Path or str
        The winner as `autoplace.load` reads it; copied whole.
    input_example : ndarray of uint8, (batch, height, width, 3)
        A few raw images (one or two: they are stored as JSON).
    predictions : ndarray of float, (batch, classes)
        The class probabilities that the winner gives for them.

    Returns
    -------
    str
        The model's URI, `models:/<model id>`.

    Raises
    ------
    TrackingError
        There is no such folder, or the store fails.

    Examples
    --------
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from autoplace.tracking import Store, fetch_winner, start_run
    >>> folder = Path("winner")
    >>> folder.mkdir()
    >>> (folder / "placement.json").write_text('{"placement": "7>3"}')
    20
    >>> run = start_run(Store(), "digits", "pick digits")
    >>> images = np.zeros((1, 8, 8, 3), dtype="uint8")
    >>> log_winner_model(run, folder, images, np.array([[0.2, 0.8]]))
    'models:/m-...'
    >>> (fetch_winner(run) / "placement.json").read_text()
    '{"placement": "7>3"}'
    """
    if not Path(folder).is_dir():
        raise TrackingError(f"no winner in {folder}: give the folder that holds placement.json")
    client = run.store.client
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    with translated(f"log the model of run {run.run_id}", run.store.address):
        # One of this run is there already if it was killed between this and its end.
        earlier = f"source_run_id = '{run.run_id}'"
        for model in client.search_logged_models([run.experiment_id], filter_string=earlier):
            client.delete_logged_model(model.model_id)
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
    """Local folder of the winner that a run logged, as `autoplace.load` reads it.

    Parameters
    ----------
    run : Run
        The run of a pick.

    Returns
    -------
    Path
        The folder; a temporary copy if the store's artifacts are not local.

    Raises
    ------
    TrackingError
        The run holds no winner, or the store fails.

    Examples
    --------
    >>> from autoplace.tracking import Store, TrackingError, start_run
    >>> run = start_run(Store(), "digits", "collect digits")
    >>> try:
    ...     fetch_winner(run)
    ... except TrackingError as error:
    ...     print(error)
    could not fetch 'model' of run ...
    """
    try:
        return artefact_folder(run.fetch(MODEL_PATH), _WINNER, f"run {run.run_id}")
    except TrackingError:
        # MLflow was lost before the end of the run, or its artifacts were left behind.
        kept = run.store.run_folder(run.run_id) / _WINNER
        if kept.is_dir():
            return kept
        raise


def _image_signature(predictions: np.ndarray) -> ModelSignature:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    # Height and width are free: the winner's own transform resizes.
    images = TensorSpec(np.dtype("uint8"), (-1, -1, -1, 3))
    scores = TensorSpec(predictions.dtype, (-1, *predictions.shape[1:]))
    return ModelSignature(Schema([images]), Schema([scores]))
