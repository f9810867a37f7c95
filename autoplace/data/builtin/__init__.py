"""The built-in tasks, one file per family."""

from autoplace.data.builtin._load import load_builtin
from autoplace.data.builtin._registry import PREFIX, list_builtin, list_tasks
from autoplace.data.builtin._task import SIZES, BuiltinTask

__all__ = ["PREFIX", "SIZES", "BuiltinTask", "list_builtin", "list_tasks", "load_builtin"]
