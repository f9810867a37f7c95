"""The words of the placement log, defined once: statuses, metrics, roles, sources of a family.

Every room may import this module; importing it is cheap.
"""

from __future__ import annotations

from enum import StrEnum

HEAD_ONLY = "head-only"  # the placement without adapters, as text
PROBE_TABLES = ("edges", "nodes", "task")  # what a probe measures, as data frames
METRICS = ("accuracy", "balanced-accuracy", "macro-f1")


class Status(StrEnum):
    """State of a trial.

    Examples
    --------
    >>> Status("done") is Status.DONE
    True
    >>> Status.DONE.is_over, Status.RUNNING.is_over
    (True, False)
    """

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def is_over(self) -> bool:
        """Whether the trial will not change any more."""
        return self in (Status.DONE, Status.FAILED, Status.INTERRUPTED)


class Role(StrEnum):
    """Why a trial runs.

    Examples
    --------
    >>> [role.value for role in Role if role.is_baseline]
    ['head-only', 'every-block']
    """

    HEAD_ONLY = HEAD_ONLY
    EVERY_BLOCK = "every-block"
    TOP_K = "top-k"  # predicted to be among the best
    REPEAT = "repeat"  # winner or baseline again, under another seed
    PANEL = "panel"  # given by the user
    SAMPLE = "sample"  # drawn at random

    @property
    def is_baseline(self) -> bool:
        """Whether this is what a user would do without this tool."""
        return self in (Role.HEAD_ONLY, Role.EVERY_BLOCK)


class FamilySource(StrEnum):
    """Where a task's family comes from.

    Examples
    --------
    >>> FamilySource("given") is FamilySource.GIVEN
    True
    """

    GIVEN = "given"  # by the user
    BUILTIN = "builtin"  # by a built-in task
    DEFAULT = "default"  # made from the images
