"""The predictor that is in use: the one given, else the store's champion, else the shipped one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import predictors
from autoplace.agent._progress import Progress
from autoplace.tracking import Store, champion


@dataclass(frozen=True)
class ActivePredictor:
    """A loaded predictor and where it comes from.

    Attributes
    ----------
    predictor : predictors.Predictor
        Fitted.
    origin : str
        `shipped`, `champion` or the folder given.
    folder : Path
        Where it lies.
    """

    predictor: predictors.Predictor
    origin: str
    folder: Path


def load_active_predictor(
    store: Store, given: str | None = None, progress: Progress | None = None
) -> ActivePredictor:
    """Load the predictor in use.

    A champion that was trained on another feature schema is passed over with a note, in favour of
    the shipped predictor.

    Parameters
    ----------
    store : Store
        Whose champion is looked for.
    given : str, optional
        Folder of a predictor; it comes before the champion.
    progress : Progress, optional
        Told of a champion that is passed over.

    Raises
    ------
    PredictorError
        The predictor is damaged, or the one given is of another feature schema.
    TrackingError
        The store cannot be read.
    """
    if given is not None:
        return ActivePredictor(predictors.load_predictor(given), given, Path(given))
    promoted = champion(store)
    if promoted is not None:
        try:
            return ActivePredictor(predictors.load_predictor(promoted), "champion", promoted)
        except predictors.SchemaMismatchError:
            if progress is not None:
                progress.note(
                    "the champion was trained on another feature schema than this release uses; "
                    "using the shipped predictor ('autoplace retrain' trains a new one)"
                )
    folder = predictors.shipped_folder()
    return ActivePredictor(predictors.load_predictor(folder), "shipped", folder)
