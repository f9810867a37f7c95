"""From `builtin:NAME` to a data set."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from PIL import Image
from torch import Tensor

from autoplace.data._errors import DataError
from autoplace.data._fingerprint import fingerprint
from autoplace.data._record import DecodingRecord
from autoplace.data._split import ImageSplit
from autoplace.data._task_data import TaskData
from autoplace.data.builtin._installed import ENVIRONMENT, shared_folder
from autoplace.data.builtin._list import list_tasks
from autoplace.data.builtin._task import BuiltinTask

PREFIX = "builtin:"

Transform = Callable[[Image.Image], Tensor]


def list_builtin() -> list[str]:
    """The built-in data sets, each as `load_data` takes it."""
    return [PREFIX + task.name for task in list_tasks()]


def load_builtin(
    source: str, *, transform: Transform, seed: int, max_bad: float, family: str | None
) -> TaskData:
    """Load `builtin:NAME`. Raises DataError for an unknown name, with the nearest ones.

    DataError too where what the pictures are made from is not installed.
    """
    if source not in list_builtin():
        near = difflib.get_close_matches(source, list_builtin(), n=2, cutoff=0.4)
        hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
        raise DataError(f"unknown built-in data set '{source}'{hint}; 'autoplace tasks' lists all")
    (task,) = (task for task in list_tasks() if PREFIX + task.name == source)
    pictures = task.pictures(seed)
    origin = task.origin()
    version = f"{task.name}-v{task.version}{f'-of-{origin}' if origin else ''}"

    record = DecodingRecord(sum(len(each.labels) for each in pictures.values()), max_bad)
    splits = {
        split: ImageSplit(
            split,
            [f"{source}/{split}/{i:04d}" for i in range(len(each.labels))],
            each.labels,
            read=each.read,
            transform=transform,
            record=record,
        )
        for split, each in pictures.items()
    }
    return TaskData(
        name=task.name,
        source=source,
        family=family or task.family,
        family_source="given" if family else "builtin",
        group=task.group,
        classes=task.classes,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        fingerprint=fingerprint(
            (split, f"{version}/seed={seed}/{i:04d}", task.classes[label], 0)
            for split, each in pictures.items()
            for i, label in enumerate(each.labels)
        ),
        record=record,
        notes=[_note(task)] if origin else [],
    )


def _note(task: BuiltinTask) -> str:
    return (
        f"'{task.name}' is made from {shared_folder()} ({ENVIRONMENT}): results do not compare "
        f"with those of other files"
    )
