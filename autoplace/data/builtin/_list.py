"""All built-in tasks, family by family."""

from __future__ import annotations

from fnmatch import fnmatch

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

_FAMILIES = (
    _digits, _fashion, _fonts, _emoji, _icons, _shapes,
    _textures, _charts, _spheres, _paths, _cells,
)  # fmt: skip


def list_tasks(pattern: str | None = None) -> list[BuiltinTask]:
    """Tasks whose name or family matches a wildcard pattern; all without one."""
    tasks = [task for family in _FAMILIES for task in family.TASKS]
    if pattern is None:
        return tasks
    return [t for t in tasks if fnmatch(t.name, pattern) or fnmatch(t.family, pattern)]
