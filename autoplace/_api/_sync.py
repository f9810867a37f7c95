"""`autoplace.sync`: bring the store up to date with the ledgers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoplace.settings import StoreSettings

if TYPE_CHECKING:
    from autoplace.agent import SyncResult


def sync(*, store: str | None = None) -> SyncResult:
    """Send MLflow what it lacks of the runs whose folders are beside it, and nothing twice.

    A run whose store could not be reached, or whose process was killed, has it all in its ledger.
    What another process is still working on is left to it.

    Parameters
    ----------
    store : str, optional
        MLflow tracking URI; default: as for the commands.

    Returns
    -------
    SyncResult
        The runs that were sent, with the number of their trials.

    Raises
    ------
    UserError
        The store cannot be used.

    Examples
    --------
    >>> import autoplace
    >>> autoplace.sync().runs
    {}
    """
    from autoplace import agent

    return agent.sync(StoreSettings(store=store))
