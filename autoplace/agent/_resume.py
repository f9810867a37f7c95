"""`autoplace resume`: continue a pick or a collection that was interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

from autoplace.agent._collect import collect
from autoplace.agent._pick import pick
from autoplace.agent.steps._past import command_of, settings_of
from autoplace.agent.steps._pick_result import PickResult
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._store import open_store
from autoplace.errors import UserError
from autoplace.settings import CollectSettings, PickSettings, ResumeSettings
from autoplace.tracking import open_past

T = TypeVar("T")


def resume(
    run: str, settings: ResumeSettings, progress: Progress | None = None
) -> PickResult | Iterator[dict[str, Any]]:
    """Continue a run that was interrupted.

    See `autoplace.resume`. The command runs again, with the options of the run. Trials that are
    over keep their outcomes, so that every choice comes out as it did, and the rest follows.

    Parameters
    ----------
    run : str
        The run's id in MLflow.
    settings : ResumeSettings
        The store, and what has moved.
    progress : Progress, optional
        Notified of each stage.

    Returns
    -------
    PickResult, or iterator of dict
        The result of `pick`, or the rows of `collect`.

    Raises
    ------
    UserError
        The run cannot be resumed: it is unknown, finished, or being worked on, or what it depends
        on has changed. Or an address of a Ray cluster is given, and the run uses none.
    NothingFinishedError
        No trial of a pick finished.

    Examples
    --------
    >>> resume("no-such-run", ResumeSettings())
    Traceback (most recent call last):
    autoplace.tracking...TrackingError: no run 'no-such-run' ...
    """
    progress = progress or Progress()
    with ExitStack() as holding:
        past = holding.enter_context(open_past(open_store(settings.store, progress), run))
        command = command_of(past)
        if settings.ray_address is not None and past.options.get("executor") != "ray":
            raise UserError(f"run {run} uses no Ray cluster; leave out --ray-address")
        given = {"checkpoint": settings.checkpoint, "ray_address": settings.ray_address}
        source = settings.data or str(past.options["data"])
        if command == "collect":
            sources = [source, *past.start.rest]
            rows = collect(sources, settings_of(past, CollectSettings, given), progress, past=past)
            return _holding(holding.pop_all(), rows)
        return pick(source, settings_of(past, PickSettings, given), progress, past=past)


def _holding(held: ExitStack, rows: Iterator[T]) -> Iterator[T]:
    with held:
        yield from rows
