"""`autoplace.retrain`: train the next predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoplace.settings import StoreSettings

if TYPE_CHECKING:
    from autoplace.agent import RetrainResult


def retrain(*, store: str | None = None) -> RetrainResult:
    """Train the next predictor on all records of a store; promote it if it is better.

    Parameters
    ----------
    store : str, optional
        MLflow tracking URI; default: as for the commands.

    Returns
    -------
    RetrainResult
        What was learnt from, and how present predictor and challenger compare.

    Raises
    ------
    UserError
        The records hold nothing new.
    predictors.PredictorError
        Too few families to judge by.

    Examples
    --------
    >>> import autoplace
    >>> autoplace.retrain()
    Traceback (most recent call last):
    autoplace.errors.UserError: ...
    """
    from autoplace import agent

    return agent.retrain(StoreSettings(store=store))
