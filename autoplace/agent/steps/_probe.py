"""Probe a task; the key identifies the tables, so that they can be found again."""

from __future__ import annotations

from dataclasses import dataclass

from autoplace.agent.steps._progress import Progress
from autoplace.data import short_digest
from autoplace.probing import ProbeTables, run_probe
from autoplace.settings import ProbeSettings
from autoplace.training import Deadline, Task

METHOD = 4  # raised when folding, sketching, summing or the tables themselves change


@dataclass(frozen=True)
class Probe:
    """Probe tables and their key.

    Attributes
    ----------
    tables : ProbeTables
        Edges (n² rows), nodes (n rows), task (one row) and sites (a row per map).
    key : str
        Digest of everything that the tables depend on.
    """

    tables: ProbeTables
    key: str


def probe_task(
    task: Task,
    settings: ProbeSettings,
    progress: Progress | None = None,
    deadline: Deadline | None = None,
) -> Probe:
    """Measure every edge of a task with one pass over some training images.

    Raises
    ------
    DataError
        Too few images can be read.
    DeadlineReachedError
        The time budget ran out.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> probe = probe_task(open_task("builtin:digits"), ProbeSettings(probe_images=32))
    >>> len(probe.tables.edges), len(probe.tables.nodes)
    (625, 25)
    """
    if progress is not None:
        edges = task.chain.n_nodes**2
        progress.stage(f"Probing all {edges} edges of {task.chain.name} on {task.data.name}")
    tables = run_probe(
        task.chain,
        task.data.train,
        len(task.data.classes),
        settings,
        seed=task.seed,
        check=(deadline or Deadline()).check,
    )
    key = short_digest(
        {
            "task": task.fingerprint,
            "method": METHOD,
            "seed": task.seed,
            "images": settings.images_for(len(task.data.classes)),
            "batch": settings.probe_batch,
            "micro_batches": settings.probe_micro_batches,
            "sketch": settings.sketch,
        }
    )
    return Probe(tables, key)
