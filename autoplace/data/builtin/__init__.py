"""The built-in tasks: one file per family of pictures."""

from autoplace.data.builtin._list import list_tasks
from autoplace.data.builtin._load import PREFIX, list_builtin, load_builtin
from autoplace.data.builtin._task import SIZES, BuiltinTask

__all__ = ["PREFIX", "SIZES", "BuiltinTask", "list_builtin", "list_tasks", "load_builtin"]
