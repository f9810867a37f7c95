"""Search for runs over all experiments of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoplace.tracking._error import translated
from autoplace.tracking.store._store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

_PAGE = 1000  # the most that MLflow returns at once


def search_runs(store: Store, condition: str, *, deleted: bool = False) -> list[MlflowRun]:
    """Every run of the store that meets an MLflow filter, oldest first.

    Parameters
    ----------
    store : Store
        A store that exists, or it is created.
    condition : str
        MLflow's filter, e.g. ``tags.`autoplace.trial_id` = 'a'``.
    deleted : bool, default=False
        Whether runs that were deleted in MLflow are among them.

    Returns
    -------
    list of mlflow.entities.Run
        The runs, over all experiments that were not deleted.

    Raises
    ------
    TrackingError
        The store cannot be read.
    """
    client = store.client
    from mlflow.entities import ViewType

    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    with translated("read the runs", store.address):
        experiments: list[str] = []
        token = None
        while True:
            page = client.search_experiments(max_results=_PAGE, page_token=token)
            experiments += [experiment.experiment_id for experiment in page]
            token = page.token
            if not token:
                break
        runs: list[MlflowRun] = []
        while True:
            found = client.search_runs(
                experiments,
                condition,
                run_view_type=view,
                max_results=_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            runs += found
            token = found.token
            if not token:
                return runs
