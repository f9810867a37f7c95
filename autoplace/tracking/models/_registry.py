"""The registered predictor: its versions, and which of them is in use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from autoplace.tracking._error import TrackingError, translated
from autoplace.tracking.models._from_code import (
    MODEL_PATH,
    ArtefactKind,
    artefact_folder,
    saved_model,
)
from autoplace.tracking.store import Run, Store, create_run

PREDICTOR_NAME = "autoplace-predictor"
CHAMPION = "champion"
PREDICTOR_EXPERIMENT = "autoplace/predictors"
_PREDICTOR: ArtefactKind = "predictor"


def register_version(
    store: Store, folder: Path | str, tags: Mapping[str, object] | None = None
) -> int:
    """Register a predictor's folder as the next version of `autoplace-predictor`.

    A run of its own in the experiment `autoplace/predictors` logs it. The champion stays the same
    until `promote` is called.

    Parameters
    ----------
    store : Store
        Where to register it.
    folder : Path or str
        The predictor as `predictors.load_predictor` reads it; copied whole.
    tags : mapping, optional
        What it was trained on, how it compares: for the run and the version.

    Returns
    -------
    int
        The version, from 1.

    Raises
    ------
    TrackingError
        There is no such folder, or the store cannot be used.

    Examples
    --------
    >>> import predictors
    >>> from autoplace.tracking import Store, champion, promote
    >>> store = Store()
    >>> version = register_version(store, predictors.shipped_folder(), {"rows": 3912})
    >>> version, champion(store)
    (1, None)
    >>> promote(store, version)
    >>> champion(store).name
    'predictor'
    """
    if not Path(folder).is_dir():
        raise TrackingError(f"no predictor in {folder}: give the folder that holds schema.json")
    text_tags = {str(key): str(value) for key, value in (tags or {}).items()}
    run = create_run(store, store.experiment_id(PREDICTOR_EXPERIMENT), "predictor", {}, text_tags)
    try:
        version = _create_version(run, folder, text_tags)
    except BaseException:
        run.finish("FAILED")
        raise
    run.finish()
    return version


def promote(store: Store, version: int) -> None:
    """Make a registered version the champion.

    Parameters
    ----------
    store : Store
        Where the version is registered.
    version : int
        What `register_version` returned.

    Raises
    ------
    TrackingError
        The version is not registered, or the store cannot be used.

    Examples
    --------
    >>> from autoplace.tracking import Store, TrackingError
    >>> try:
    ...     promote(Store(), 7)
    ... except TrackingError as error:
    ...     print(error)
    could not promote version 7 of autoplace-predictor in the MLflow store ...
    """
    with translated(f"promote version {version} of {PREDICTOR_NAME}", store.address):
        store.client.set_registered_model_alias(PREDICTOR_NAME, CHAMPION, str(version))


def champion(store: Store) -> Path | None:
    """Local folder of the champion, as `predictors.load_predictor` reads it.

    Parameters
    ----------
    store : Store
        Where to look; a SQLite store that does not exist yet is not created.

    Returns
    -------
    Path or None
        The folder; a temporary copy if the store's artifacts are not local. None if no version
        was promoted.

    Raises
    ------
    TrackingError
        The store cannot be read, or the champion's files are gone.

    Examples
    --------
    >>> from autoplace.tracking import Store
    >>> champion(Store("sqlite:///no-such-folder/mlflow.db")) is None
    True
    """
    if not store.exists:
        return None
    client = store.client
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with translated("fetch the champion", store.address):
        try:
            found = client.get_model_version_by_alias(PREDICTOR_NAME, CHAMPION)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        folder = store.beside(f"{found.run_id}", MODEL_PATH)
        if folder is None:
            source = client.get_model_version_download_uri(PREDICTOR_NAME, found.version)
            folder = Path(download_artifacts(artifact_uri=source, tracking_uri=store.uri))
    return artefact_folder(folder, _PREDICTOR, f"{PREDICTOR_NAME} version {found.version}")


def _create_version(run: Run, folder: Path | str, tags: dict[str, str]) -> int:
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    store = run.store
    with translated("register the predictor", store.address):
        client = store.client
        with saved_model(_PREDICTOR, folder, Model(MODEL_PATH, run.run_id)) as model_folder:
            client.log_artifacts(run.run_id, str(model_folder), MODEL_PATH)
        try:
            client.create_registered_model(PREDICTOR_NAME)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # The artifacts' own place as source: for `runs:/` and `models:/` URIs a database-backed
        # registry would ask MLflow's global tracking store, which need not be this one.
        source = f"{client.get_run(run.run_id).info.artifact_uri}/{MODEL_PATH}"
        created = client.create_model_version(
            PREDICTOR_NAME, source, run.run_id, tags=tags, await_creation_for=0
        )
    return int(created.version)
