"""Predictors on disk: LightGBM text, schema, card, training rows, a SHA-256 of each. No pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightgbm

from ._base import Predictor
from ._checked_folder import read_folder, write_folder
from ._errors import PredictorError
from ._gain_scale import GainScale
from ._lightgbm import LightGBMPredictor
from ._parquet import read_parquet
from ._schema import SCHEMA
from ._training_set import TrainingSet

MODEL, STAMP, CARD, TRAINING = "model.txt", "schema.json", "card.md", "training.parquet"
FILES = (MODEL, STAMP, CARD, TRAINING)
WHAT, REMEDY = "predictor", "restore it or train a new one"
# What reading a changed file raises, whose checksum was changed with it.
_DAMAGED = (
    AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError, OverflowError,
)  # fmt: skip
_SHIPPED = Path(__file__).parent / "shipped"


def save_predictor(
    predictor: Predictor, folder: str | Path, card: str, training: TrainingSet
) -> Path:
    """Write a fitted LightGBM predictor and the rows it was fitted on.

    The rows are kept with it, so that the next predictor can be trained on them and more, and the
    two can be compared on families that neither fit has seen.

    Parameters
    ----------
    predictor : Predictor
        A fitted `LightGBMPredictor`; baselines have no form on disk.
    folder : path
        New or empty.
    card : str
        Markdown: what it was trained on, how good it is, what it is not for.
    training : TrainingSet
        What it was fitted on.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    PredictorError
        Another predictor, one not fitted, or a folder that is not empty.

    Examples
    --------
    >>> import tempfile
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> predictor = predictors.create_predictor("lightgbm", n_estimators=5)
    >>> predictor = predictor.fit(data.X, data.y, data.groups)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saved = predictors.save_predictor(predictor, folder, "# A small one", data)
    ...     predictors.load_predictor(saved)
    LightGBMPredictor(n_estimators=5)
    """
    if not isinstance(predictor, LightGBMPredictor) or not hasattr(predictor, "booster_"):
        raise PredictorError(
            f"only a fitted LightGBMPredictor can be saved, not this {type(predictor).__name__}"
        )
    stamp = {
        "predictor": "lightgbm",
        "settings": predictor.get_params(),
        "gain_scale": {
            "location": predictor.gain_scale_.location,
            "spread": predictor.gain_scale_.spread,
        },
        "lightgbm": lightgbm.__version__,
        **SCHEMA.to_dict(),
    }
    contents = {
        MODEL: predictor.booster_.model_to_string().encode(),
        STAMP: (json.dumps(stamp, indent=1, ensure_ascii=False) + "\n").encode(),
        CARD: card.encode(),
        TRAINING: training.to_frame().to_parquet(index=False),
    }
    return write_folder(folder, contents, WHAT)


def load_predictor(folder: str | Path) -> LightGBMPredictor:
    """Read what `save_predictor` wrote; its predictions are the same to the last bit.

    Parameters
    ----------
    folder : path
        Where it was saved.

    Returns
    -------
    LightGBMPredictor

    Raises
    ------
    SchemaMismatchError
        The predictor was trained on another feature schema than this release computes.
    PredictorError
        A file is missing, was changed since it was saved, or cannot be read.

    Examples
    --------
    >>> import predictors
    >>> folder = predictors.shipped_folder()
    >>> data = predictors.load_training_set(folder)
    >>> predictors.load_predictor(folder).predict(data.X.head(2)).shape
    (2,)
    """
    folder = Path(folder)
    contents = read_folder(folder, FILES, WHAT, REMEDY)
    try:
        stamp: dict[str, Any] = json.loads(contents[STAMP])
        SCHEMA.check_stamp(stamp)
        predictor = LightGBMPredictor(**stamp["settings"])
        predictor.gain_scale_ = GainScale(**stamp["gain_scale"])
        predictor.booster_ = lightgbm.Booster(model_str=contents[MODEL].decode())
    except PredictorError as error:
        raise type(error)(f"{folder}: {error}") from None
    except (*_DAMAGED, lightgbm.basic.LightGBMError) as error:
        raise PredictorError(
            f"{folder} is not a predictor this release can read ({error}); retrain it"
        ) from error
    return predictor


def load_training_set(folder: str | Path) -> TrainingSet:
    """Read the rows that a saved predictor was fitted on.

    Parameters
    ----------
    folder : path
        Where it was saved.

    Returns
    -------
    TrainingSet

    Raises
    ------
    SchemaMismatchError
        The predictor was trained on another feature schema than this release computes.
    PredictorError
        A file is missing, was changed since it was saved, or cannot be read.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> len(data), data.y.shape
    (1120, (1120,))
    """
    folder = Path(folder)
    contents = read_folder(folder, FILES, WHAT, REMEDY)
    try:
        SCHEMA.check_stamp(json.loads(contents[STAMP]))
        return TrainingSet.from_frame(read_parquet(contents[TRAINING]))
    except PredictorError as error:
        raise type(error)(f"{folder}: {error}") from None
    except _DAMAGED as error:
        raise PredictorError(
            f"the training rows in {folder} cannot be read ({error}); retrain the predictor"
        ) from error


def shipped_folder() -> Path:
    """Return the folder of the newest predictor that comes with this package.

    Returns
    -------
    Path
        A folder that `load_predictor` and `load_training_set` read.

    Raises
    ------
    PredictorError
        None is shipped.

    Examples
    --------
    >>> import predictors
    >>> sorted(path.name for path in predictors.shipped_folder().iterdir())
    ['SHA256SUMS', 'card.md', 'model.txt', 'schema.json', 'training.parquet']
    """
    return newest(_SHIPPED)


def shipped_predictor() -> LightGBMPredictor:
    """Load the newest predictor that comes with this package.

    Returns
    -------
    LightGBMPredictor

    Raises
    ------
    PredictorError
        None is shipped, or it is damaged.

    Examples
    --------
    >>> import predictors
    >>> predictors.shipped_predictor()
    LightGBMPredictor()
    """
    return load_predictor(shipped_folder())


def newest(shelf: Path) -> Path:
    """Return the folder with the highest number of `v1`, `v2`, ... on `shelf`.

    Raises PredictorError if there is none.
    """
    versions = {
        int(folder.name[1:]): folder
        for folder in shelf.glob("v*")
        if folder.is_dir() and folder.name[1:].isdecimal()
    }
    if not versions:
        raise PredictorError(
            f"no predictor in {shelf}; name one by its folder, or train one (autoplace retrain)"
        )
    return versions[max(versions)]
