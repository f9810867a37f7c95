"""`autoplace.resume`: continue a pick or a collection that was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autoplace.settings import ResumeSettings, create_settings

if TYPE_CHECKING:
    import pandas as pd

    from autoplace.agent import PickResult

_RESUME = ResumeSettings()


def resume(
    run: str,
    *,
    store: str | None = _RESUME.store,
    data: str | Path | None = _RESUME.data,
    checkpoint: str | None = _RESUME.checkpoint,
    ray_address: str | None = _RESUME.ray_address,
) -> PickResult | pd.DataFrame:
    """Continue a pick or a collection that was interrupted, in the same run.

    It has the options that it was started with; `data`, `checkpoint` and `ray_address` say where
    these are now, if they have moved. Finished trials are kept, an interrupted one
    continues after its last saved epoch, and the result is that of an undisturbed run.

    Parameters
    ----------
    run : str
        The MLflow run id.
    **options
        As the flags of `autoplace resume`; `autoplace.settings.ResumeSettings` describes each.

    Returns
    -------
    PickResult or DataFrame
        What `pick` or `collect` returns.

    Raises
    ------
    UserError
        What the caller can fix, such as a run that is finished, or data that has changed.
    autoplace.agent.NothingFinishedError
        No trial of a pick finished.

    Examples
    --------
    >>> import autoplace
    >>> autoplace.resume("no-such-run")
    Traceback (most recent call last):
    autoplace.tracking...TrackingError: no run 'no-such-run' ...
    """
    options = {name: value for name, value in locals().items() if name != "run"}
    from autoplace import agent
    from predictors import log_table

    done = agent.resume(run, create_settings(ResumeSettings, options))
    return done if isinstance(done, agent.PickResult) else log_table(done)
