"""The registry of built-in tasks: list them with wildcards, get one by name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatch

from autoplace.data._errors import DataError
from autoplace.data.builtin import (
    _cells,
    _charts,
    _digits,
    _emoji,
    _fashion,
    _fonts,
    _icons,
    _paths,
    _shapes,
    _spheres,
    _textures,
)
from autoplace.data.builtin._task import BuiltinTask

PREFIX = "builtin:"

_FAMILIES = (
    _digits, _fashion, _fonts, _emoji, _icons, _shapes,
    _textures, _charts, _spheres, _paths, _cells,
)  # fmt: skip


def by_name(tasks: Iterable[BuiltinTask]) -> dict[str, BuiltinTask]:
    """Map names to tasks.

    Raises
    ------
    ValueError
        If two tasks have the same name.
    """
    known: dict[str, BuiltinTask] = {}
    for task in tasks:
        if task.name in known:
            raise ValueError(f"two built-in tasks are named '{task.name}'; rename one")
        known[task.name] = task
    return known


_TASKS = by_name(task for family in _FAMILIES for task in family.TASKS)


def list_tasks(pattern: str | None = None) -> list[BuiltinTask]:
    """List the built-in tasks, family by family.

    Parameters
    ----------
    pattern : str or None, default=None
        Shell pattern that the name or the family must match; None lists all tasks.

    Examples
    --------
    >>> from autoplace.data import list_tasks
    >>> [task.name for task in list_tasks("shapes-*")]
    ['shapes-count', 'shapes-location', 'shapes-orientation', 'shapes-size']
    >>> {task.licence for task in list_tasks("fashion")}
    {'MIT'}
    """
    return [
        task
        for task in _TASKS.values()
        if pattern is None or fnmatch(task.name, pattern) or fnmatch(task.family, pattern)
    ]


def list_builtin() -> list[str]:
    """List the built-in tasks as `load_data` takes them.

    Examples
    --------
    >>> from autoplace.data import list_builtin
    >>> list_builtin()[0]
    'builtin:digits'
    """
    return [PREFIX + name for name in _TASKS]


def get_task(source: str) -> BuiltinTask:
    """Return the task that `builtin:NAME` names.

    Raises
    ------
    DataError
        If there is no such task; the message suggests similar names.
    """
    name = source.removeprefix(PREFIX)
    if name not in _TASKS:
        near = [f"'{PREFIX}{close}'" for close in get_close_matches(name, _TASKS, n=2, cutoff=0.4)]
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise DataError(f"unknown built-in data set '{source}'{hint}; 'autoplace tasks' lists all")
    return _TASKS[name]
