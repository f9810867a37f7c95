"""`autoplace.refine`: train the winner of a pick again with a procedure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autoplace.settings import RefineSettings, create_settings

if TYPE_CHECKING:
    from autoplace.agent import RefineResult

_REFINE = RefineSettings()


def refine(
    run: str,
    procedure: str,
    *,
    store: str | None = _REFINE.store,
    data: str | Path | None = _REFINE.data,
    checkpoint: str | None = _REFINE.checkpoint,
    epochs: int | None = _REFINE.epochs,
    lr: float | None = _REFINE.lr,
    seeds: int = _REFINE.seeds,
) -> RefineResult:
    """Train the winner of a pick again, without and with a procedure, and compare the two.

    Both have the same placement, learning rates, seeds and images. The winner trained with the
    procedure is saved, and recorded in a run of its own.

    Parameters
    ----------
    run : str
        The MLflow run id of a finished pick.
    procedure : str
        Text form, such as `prune:score=snip,sparsity=0.8`, `drop:blocks=5` or `drop:robust`.
    **options
        As the flags of `autoplace refine`; `autoplace.settings.RefineSettings` describes each.

    Returns
    -------
    RefineResult
        Both sides on validation and test, and where the refined winner is.

    Raises
    ------
    UserError
        What the caller can fix.

    Examples
    --------
    >>> import autoplace
    >>> autoplace.refine("no-such-run", "prune:sparsity=1")
    Traceback (most recent call last):
    autoplace.procedures...ProcedureError: sparsity=1 must be a number ...
    """
    options = {name: value for name, value in locals().items() if name not in ("run", "procedure")}
    from autoplace import agent

    return agent.refine(run, procedure, create_settings(RefineSettings, options))
