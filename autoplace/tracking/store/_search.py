"""Finds runs of a store: one by its id, or all that meet a condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoplace.tracking._error import TrackingError, translated
from autoplace.tracking.store._run import PARENT_TAG, Run
from autoplace.tracking.store._store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

_PAGE = 1000  # the most that MLflow returns at once


def find_run(store: Store, run_id: str) -> Run:
    """Look up a run by its id.

    Parameters
    ----------
    store : Store
        Where to look; a SQLite store that does not exist yet is not created.
    run_id : str
        MLflow's id of the run.

    Returns
    -------
    Run
        The run, also if it was deleted in MLflow but not purged.

    Raises
    ------
    TrackingError
        The store holds no such run, or cannot be read.

    Examples
    --------
    >>> from autoplace.tracking import Store, start_run
    >>> store = Store()
    >>> started = start_run(store, "digits", "pick digits")
    >>> find_run(store, started.run_id).name
    'pick digits'
    """
    unknown = TrackingError(
        f"no run {run_id!r} in the MLflow store {store.address}; "
        "'autoplace ui' shows the runs, MLFLOW_TRACKING_URI chooses another store"
    )
    if not store.exists:
        raise unknown
    client = store.client
    from mlflow.exceptions import MlflowException

    with translated(f"look up run {run_id!r}", store.address):
        try:
            return Run.of(store, client.get_run(run_id))
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise unknown from error


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

    Examples
    --------
    >>> from autoplace.tracking import Store
    >>> search_runs(Store(), "tags.`autoplace.role` = 'pick'")
    []
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


def search_children(
    parent: Run, *, running: bool = False, deleted: bool = False
) -> list[MlflowRun]:
    """Every child of a run, oldest first: the runs of an invocation's trials.

    Parameters
    ----------
    parent : Run
        An invocation's run.
    running : bool, default=False
        Only those that MLflow takes for running.
    deleted : bool, default=False
        Whether runs that were deleted in MLflow are among them.

    Returns
    -------
    list of mlflow.entities.Run
        The runs.

    Raises
    ------
    TrackingError
        The store cannot be read.

    Examples
    --------
    >>> from autoplace.tracking import Store
    >>> from autoplace.tracking import Store, start_run
    >>> run = start_run(Store(), "digits", "pick digits", {"seed": 0})
    >>> trial = run.start_child("head-only (seed 0)")
    >>> [found.info.run_name for found in search_children(run)]
    ['head-only (seed 0)']
    """
    condition = f"tags.`{PARENT_TAG}` = '{parent.run_id}'"
    if running:
        condition += " AND attributes.status = 'RUNNING'"
    return search_runs(parent.store, condition, deleted=deleted)
