"""The active predictor: the given one, else the store's champion, else the shipped one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import predictors
from autoplace.agent.steps._progress import Progress
from autoplace.placement import Placement
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
        Its folder.
    """

    predictor: predictors.Predictor
    origin: str
    folder: Path

    def knows(self, placement: Placement) -> bool:
        """Whether the predictor was trained on all adapter kinds of a placement.

        What it predicts for others helps to order them, but not to compare kinds.
        """
        return {spec.kind for _, spec in placement} <= self._kinds

    @cached_property
    def _kinds(self) -> set[str]:
        texts = predictors.load_training_set(self.folder).X["placement"]
        return {spec.kind for text in set(texts) for _, spec in Placement.parse(text)}


def load_active_predictor(
    store: Store, given: str | None = None, progress: Progress | None = None
) -> ActivePredictor:
    """Load the active predictor.

    If the champion was trained on another feature schema, a note says so and the shipped predictor
    is used instead.

    Parameters
    ----------
    store : Store
        The store whose champion is used.
    given : str, optional
        Folder of a predictor to use instead of the champion.
    progress : Progress, optional
        Notified if the champion is not used.

    Raises
    ------
    PredictorError
        The predictor is damaged, or the given one has another feature schema.
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
